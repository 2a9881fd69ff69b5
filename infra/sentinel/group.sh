# What both start scripts know of the group: servers and Sentinels in pairs, one pair in each pod.
#
#   REDIS_SERVERS, REDIS_SENTINELS   host:port of each, in the order of their pods
#   REDIS_ORDINAL                    which pair is ours; the end of the host's name when left out
#   REDIS_DATA, REDIS_RUN            what outlives the pod, and what doesn't
#   REDIS_PASSWORD_FILE              the password of clients
#   REDIS_REPLICATION_FILE           the password of servers and Sentinels among each other
GROUP=mcp
DATA=${REDIS_DATA:-/data}
RUN=${REDIS_RUN:-/run/valkey}
STATE=$DATA/sentinel/sentinel.conf

host_name=$(hostname)
ordinal=${REDIS_ORDINAL:-${host_name##*-}}

# nth LIST: the pair's member in a list of host:port.
nth() {
    # shellcheck disable=SC2086 # a list of words
    set -- $1
    shift "$ordinal"
    echo "$1"
}

own_server=$(nth "$REDIS_SERVERS")
own_sentinel=$(nth "$REDIS_SENTINELS")

# hash_of FILE: of a password, without the line's end.
hash_of() {
    printf %s "$(cat "$1")" | sha256sum | cut -d ' ' -f 1
}

# quoted FILE: a password as a word of a configuration file.
quoted() {
    printf '"%s"' "$(sed 's/[\\"]/\\&/g' "$1")"
}

# ask SENTINEL COMMAND …: as one of the group.
ask() {
    sentinel=$1
    shift
    REDISCLI_AUTH=$(cat "$REDIS_REPLICATION_FILE") timeout 2 \
        valkey-cli -e --user sentinel -h "${sentinel%:*}" -p "${sentinel##*:}" "$@" 2>/dev/null
}

# Where the primary is, as another Sentinel says; nothing where none answers.
others_primary() {
    for sentinel in $REDIS_SENTINELS; do
        [ "$sentinel" != "$own_sentinel" ] || continue
        found=$(ask "$sentinel" sentinel get-master-addr-by-name "$GROUP" | tr '\n' ':') || continue
        case $found in
            ?*:[1-9]*:) echo "${found%:}" && return ;;
        esac
    done
}

# Where the primary was when our Sentinel last wrote it down; nothing before that.
remembered_primary() {
    [ ! -s "$STATE" ] || sed -n "s/^sentinel monitor $GROUP \([^ ]*\) \([0-9]*\) .*/\1:\2/p" "$STATE"
}

first_of() {
    for found in "$@"; do
        [ -z "$found" ] || { echo "$found" && return; }
    done
}

# In the very beginning it is the first server.
initial_primary() {
    echo "${REDIS_SERVERS%% *}"
}
