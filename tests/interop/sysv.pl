# System V shared memory through Perl's own functions. Makes the call that its arguments name, and
# prints the result in one line, or "errno N".
use strict;
use warnings;
use constant { IPC_CREAT => 01000, IPC_EXCL => 02000, IPC_RMID => 0, IPC_STAT => 2 };

sub checked {
    my ($result) = @_;
    return $result + 0 if defined $result;
    printf "errno %d\n", $!;
    exit;
}

my %commands = (
    key => sub {
        my ( $path, $id ) = @_;
        my ( $device, $inode ) = stat $path or die "$path: $!";
        return sprintf '0x%08x', $inode & 0xffff | ( $device & 0xff ) << 16 | oct($id) << 24;
    },
    create => sub {
        my ( $key, $size, $mode ) = @_;
        return checked( shmget oct $key, $size, IPC_CREAT | IPC_EXCL | oct $mode );
    },
    find => sub { my ($key) = @_; return checked( shmget oct $key, 0, 0 ) },
    read => sub {
        my ( $id, $size ) = @_;
        checked( shmread $id, my $text, 0, $size );
        return $text;
    },
    write => sub {
        my ( $id, $text ) = @_;
        checked( shmwrite $id, $text, 0, 1 + length $text );
        return 0;
    },
    stat => sub {
        my ($id) = @_;
        checked( shmctl $id, IPC_STAT, my $info = '' );
        # struct shmid_ds of 64-bit systems.
        my ( $uid, $gid, $mode, $size, $creator, $attached ) =
            unpack 'x4 L L x8 S x26 Q x24 l x4 Q', $info;
        return sprintf 'size %d mode %04o uid %d gid %d creator %d attached %d',
            $size, $mode & 0777, $uid, $gid, $creator, $attached;
    },
    remove => sub { my ($id) = @_; return checked( shmctl $id, IPC_RMID, 0 ) },
);

my $command = shift;
print $commands{$command}->(@ARGV), "\n";
