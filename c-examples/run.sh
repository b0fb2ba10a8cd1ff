# Usage: sh run.sh SERVER CLIENT
#
# Runs both until their conversation ends; fails if one of them fails. The client starts after the
# server has created its segment, so it cannot find an older one.

programs=
stopped=

stop() { # lets the programs clean up and exit
    trap '' INT TERM HUP
    stopped=yes
    kill $programs 2>/dev/null
}

start() {
    "$1" &
    programs="$programs $!"
    if [ "$stopped" ]; then stop; fi
}

serves() { # whether this process has created a segment and attached it
    while read -r key id mode size creator last attached rest; do
        if [ "$creator" = "$1" ] && [ "$attached" -gt 0 ]; then return 0; fi
    done </proc/sysvipc/shm
    return 1
}

trap stop INT TERM HUP

start "$1"
server=$!
until serves "$server"; do
    if ! kill -0 "$server" 2>/dev/null; then
        wait "$server"
        exit
    fi
    sleep 0.1
done

start "$2"
client=$!

status=0
wait "$client" || { status=$?; stop; } # a server whose client failed would wait in vain
wait "$server" || status=$?
wait # a signal cuts the others short, but not this one: see stop
exit "$status"
