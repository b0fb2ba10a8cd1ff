# A file, used without this library. Makes the call that its arguments name, and prints the result in
# one line, or "errno N".
use strict;
use warnings;
use Fcntl qw(O_CREAT O_EXCL O_RDWR);

sub checked {
    my ($result) = @_;
    return 0 if defined $result && $result;
    printf "errno %d\n", $!;
    exit;
}

sub opened {
    my ( $path, $flags, $mode ) = @_;
    checked( sysopen my $file, $path, O_RDWR | ( $flags || 0 ), $mode || 0 );
    return $file;
}

my %commands = (
    create => sub {
        my ( $path, $size, $mode ) = @_;
        return checked( truncate opened( $path, O_CREAT | O_EXCL, oct $mode ), $size );
    },
    resize => sub { my ( $path, $size ) = @_; return checked( truncate opened($path), $size ) },
    read   => sub {
        my ( $path, $size ) = @_;
        checked( sysread opened($path), my $text, $size );
        return $text;
    },
    write => sub { my ( $path, $text ) = @_; return checked( syswrite opened($path), "$text\0" ) },
    stat  => sub {
        my ( undef, undef, $mode, undef, $uid, $gid, undef, $size ) = stat opened(@_);
        return sprintf 'size %d mode %04o uid %d gid %d', $size, $mode & 0777, $uid, $gid;
    },
    remove => sub { return checked( unlink @_ ) },
);

my $command = shift;
print $commands{$command}->(@ARGV), "\n";
