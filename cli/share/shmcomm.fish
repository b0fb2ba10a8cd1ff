# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_shmcomm_global_optspecs
    string join \n h/help V/version
end

function __fish_shmcomm_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_shmcomm_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_shmcomm_using_subcommand
    set -l cmd (__fish_shmcomm_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c shmcomm -n "__fish_shmcomm_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmcomm -n "__fish_shmcomm_needs_command" -s V -l version -d 'Print version'
complete -c shmcomm -n "__fish_shmcomm_needs_command" -f -a "ls" -d 'Lists segments, channels, topics and semaphores'
complete -c shmcomm -n "__fish_shmcomm_needs_command" -f -a "info" -d 'Shows everything about one object'
complete -c shmcomm -n "__fish_shmcomm_needs_command" -f -a "who" -d 'Lists the processes that use an object'
complete -c shmcomm -n "__fish_shmcomm_needs_command" -f -a "check" -d 'Says what is in use, stale or damaged, and which limits of the system are near'
complete -c shmcomm -n "__fish_shmcomm_needs_command" -f -a "clean" -d 'Removes what is stale: unused, and its creator has exited'
complete -c shmcomm -n "__fish_shmcomm_needs_command" -f -a "watch" -d 'Shows the rates of a channel or a topic, once a second'
complete -c shmcomm -n "__fish_shmcomm_needs_command" -f -a "send" -d 'Sends the lines of the standard input'
complete -c shmcomm -n "__fish_shmcomm_needs_command" -f -a "recv" -d 'Prints the messages of a channel'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand ls" -s k -l kind -d 'Only this kind' -r -f -a "channel\t'A channel of messages'
topic\t'A topic of one writer and its readers'
segment\t'A segment, whose bytes belong to its programs'
semaphore\t'A set of System V semaphores'
object\t'A POSIX object that another library created, or that cannot be read'"
complete -c shmcomm -n "__fish_shmcomm_using_subcommand ls" -s p -l path -d 'Show which keys ftok(3) computes from this path' -r -F
complete -c shmcomm -n "__fish_shmcomm_using_subcommand ls" -s a -l all -d 'Objects and semaphores of other libraries, too'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand ls" -l json -d 'Print JSON, with the keys of docs/tool.md'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand info" -l json -d 'Print JSON, with the keys of docs/tool.md'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand info" -s h -l help -d 'Print help'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand who" -l json -d 'Print JSON, with the keys of docs/tool.md'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand who" -s h -l help -d 'Print help'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand check" -l json -d 'Print JSON, with the keys of docs/tool.md'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand check" -s h -l help -d 'Print help'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand clean" -s y -l yes -d 'Remove; otherwise say what would be removed'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand clean" -l messages -d 'Channels and topics that still hold messages, too'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand clean" -l json -d 'Print JSON, with the keys of docs/tool.md'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand clean" -s h -l help -d 'Print help'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand watch" -s n -l interval -d 'Seconds between two lines' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand watch" -s c -l count -d 'End after this number of lines' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand watch" -l json -d 'Print JSON, one object a line, with the keys of docs/tool.md'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand watch" -s h -l help -d 'Print help'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand send" -l capacity -d 'Bytes that a new channel holds, such as 64K or 8M' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand send" -l mode -d 'Permission bits of a new channel' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand send" -s t -l timeout -d 'Wait for at most this time; 0 does not wait' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand send" -s b -l block -d 'Send the input in messages of this size, such as 64K' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand send" -s c -l create -d 'Create the channel if there is none'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand send" -s s -l shared -d 'Share the end with other processes that share it'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand send" -s w -l whole -d 'Send the whole input as one message'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand send" -s h -l help -d 'Print help'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand recv" -l capacity -d 'Bytes that a new channel holds, such as 64K or 8M' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand recv" -l mode -d 'Permission bits of a new channel' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand recv" -s t -l timeout -d 'Wait for at most this time; 0 does not wait' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand recv" -s n -l count -d 'End after this number of messages' -r
complete -c shmcomm -n "__fish_shmcomm_using_subcommand recv" -s c -l create -d 'Create the channel if there is none'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand recv" -s s -l shared -d 'Share the end with other processes that share it'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand recv" -s r -l raw -d 'Print the messages as they are, without a newline after each'
complete -c shmcomm -n "__fish_shmcomm_using_subcommand recv" -s h -l help -d 'Print help'
