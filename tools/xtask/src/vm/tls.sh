#!/bin/busybox sh
# The first process of the test machine: loads the kernel's TLS, serves a file with the real `oca`, and
# reads it back with curl in every way that a player may ask. Ends with VM-OK, or names what failed.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ip link set lo up
ulimit -l unlimited
ulimit -n 4096
failed=0

say() { echo "vm: $*"; }
fail() { say "FAILED: $*"; failed=1; }

serve() { # name, expected engine, options of oca
    name=$1 expected=$2
    shift 2
    rm -f /tmp/ready
    /bin/oca lab /media --listen 127.0.0.1:4433 --admin 127.0.0.1:9443 --tls /cert.pem /key.pem --json "$@" \
        > /tmp/ready 2> /tmp/oca.log &
    server=$!
    for _ in $(seq 60); do [ -s /tmp/ready ] && break; sleep 0.5; done
    [ -s /tmp/ready ] || { fail "$name: oca did not come up"; cat /tmp/oca.log; return; }
    say "$name: $(cat /tmp/ready)"
    grep -q "\"engine\":\"$expected\"" /tmp/ready || fail "$name: the engine is not $expected"
}

ask() { # name, curl's options
    name=$1
    shift
    rm -f /tmp/got
    curl -sS --http1.1 --cacert /cert.pem -o /tmp/got "$@" https://localhost:4433/film.mp4 \
        || fail "$name: curl ended with $?"
}

whole() {
    ask "$@"
    cmp -s /tmp/got /media/film.mp4 && say "$1: the same bytes" || fail "$1: other bytes"
}

check() { # name
    whole "$1, TLS 1.3 AES-128" --tls13-ciphers TLS_AES_128_GCM_SHA256
    whole "$1, TLS 1.3 AES-256" --tls13-ciphers TLS_AES_256_GCM_SHA384
    whole "$1, TLS 1.3 ChaCha20" --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256
    whole "$1, TLS 1.2 AES-128" --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256
    whole "$1, TLS 1.2 AES-256" --tls-max 1.2 --ciphers ECDHE-ECDSA-AES256-GCM-SHA384
    ask "$1, a range" --range 70000-300000
    dd if=/media/film.mp4 of=/tmp/part bs=1 skip=70000 count=230001 2> /dev/null
    cmp -s /tmp/got /tmp/part && say "$1, a range: the same bytes" || fail "$1, a range: other bytes"
    # Ten answers on one connection: keys and record numbers go on where the last answer ended.
    for n in 1 2 3 4 5 6 7 8 9 10; do echo "url=https://localhost:4433/film.mp4"; echo "output=/tmp/many$n"; done > /tmp/many
    curl -sS --http1.1 --cacert /cert.pem -K /tmp/many || fail "$1, keep-alive: curl ended with $?"
    for n in 1 2 3 4 5 6 7 8 9 10; do cmp -s /tmp/many$n /media/film.mp4 || fail "$1, keep-alive: other bytes in $n"; done
    say "$1, keep-alive: ten answers"
    rekey "$1"
    curl -sS http://127.0.0.1:9443/debug/datapath | head -c 2000
    echo
}

count() { # a line of the kernel's own numbers
    n=$(grep "^$1[[:space:]]" /proc/net/tls_stat 2> /dev/null | tr -dc 0-9)
    echo "${n:-0}"
}

# A client that changes its sending key between two requests (openssl's `K`): the answer is whole, or the
# connection is closed cleanly; wrong bytes are the one thing that may not be.
rekey() {
    (
        printf 'GET /small.txt HTTP/1.1\r\nHost: localhost\r\n\r\n'
        sleep 1
        printf 'K\n'
        sleep 1
        printf 'GET /small.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
        sleep 2
    ) | openssl s_client -connect 127.0.0.1:4433 -CAfile /cert.pem -tls1_3 -quiet -no_ign_eof -msg -msgfile /tmp/rekey.msg > /tmp/rekey 2> /tmp/rekey.log
    grep -q "<<<.*close_notify" /tmp/rekey.msg || { fail "$1, KeyUpdate: no close_notify"; tail -5 /tmp/rekey.msg; }
    if [ "$(grep -c "small but whole" /tmp/rekey)" -ge 1 ]; then say "$1, KeyUpdate: $(grep -c "small but whole" /tmp/rekey) answers"; else
        fail "$1, KeyUpdate: no answer"
        cat /tmp/rekey /tmp/rekey.log
    fi
}

# Two network cards on one wire, one of them in a network of its own. A card reads a chunk where it lies, if
# this kernel lends it (6.2) and says so.
lend() {
    while read -r module; do
        [ ! -f "/$module.ko" ] || insmod "/$module.ko" || fail "the module $module does not load"
    done < /cards
    [ -d /sys/class/net/eth1 ] || { say "lending: no network cards"; return; }
    unshare -n sleep 1000 &
    member=$!
    for _ in $(seq 60); do
        [ "$(readlink /proc/$member/ns/net)" != "$(readlink /proc/self/ns/net)" ] && break
        sleep 0.5
    done
    ip addr add 10.79.0.1/24 dev eth0
    ip link set eth0 up
    ip link set eth1 netns $member || { fail "lending: no second network"; return; }
    nsenter -t $member -n ip addr add 10.79.0.2/24 dev eth1
    nsenter -t $member -n ip link set eth1 up
    rm -f /tmp/ready
    /bin/oca lab /media --listen 10.79.0.1:8080 --admin 127.0.0.1:9443 --workers 1 --json > /tmp/ready 2> /tmp/oca.log &
    server=$!
    for _ in $(seq 60); do [ -s /tmp/ready ] && break; sleep 0.5; done
    for n in 1 2 3 4 5; do
        nsenter -t $member -n curl -sS -o /tmp/got http://10.79.0.1:8080/film.mp4 || fail "lending: curl ended with $?"
        cmp -s /tmp/got /media/film.mp4 && say "lending: the same bytes" || fail "lending: other bytes"
    done
    curl -sS http://127.0.0.1:9443/debug/datapath > /tmp/datapath
    sed 's/.*"zero_copy"/vm: lending: "zero_copy"/' /tmp/datapath
    case "$(cat /tmp/datapath)" in
        *'"kernel":"usable"'*'"used":0}'*) fail "lending: the card was never reported to read a chunk where it lies" ;;
        *'"kernel":"usable"'*) say "lending: the card reads chunks where they lie" ;;
        *'"reason":"no_zero_copy"'*) say "lending: this kernel does not lend, and nobody asks it to" ;;
        *) fail "lending: nothing was said of it" ;;
    esac
    kill $server
    wait $server && say "drained" || fail "the drain did not end well"
    kill $member
}

say "kernel $(uname -r)"
serve "without the tls module" user-tls
check "user TLS"
kill $server
wait $server
while read -r module; do
    [ ! -f "/$module.ko" ] || insmod "/$module.ko" || fail "the module $module does not load"
done < /modules
engine=$(cat /expected-engine)
serve "with the tls module" "$engine"
check "$engine"
sealed=$(count TlsTxSw)
say "the kernel sealed for $sealed sockets"
[ "$engine" != kernel-tls ] || [ "$sealed" -gt 0 ] || fail "the kernel sealed for no socket"
# A client that asks for a new key of the kernel's gets an end instead, which is counted.
spent=$(curl -sS http://127.0.0.1:9443/metrics | grep key_spent)
say "$spent"
case "$engine $spent" in
    "kernel-tls "*" 0" | "kernel-tls ") fail "the end for want of a key was not counted" ;;
esac
kill $server
wait $server && say "drained" || fail "the drain did not end well"
# The same from our own buffers, whatever this kernel can say of its page cache.
serve "from buffers" "$engine" --engine owned
whole "from buffers, TLS 1.3" --tls13-ciphers TLS_AES_128_GCM_SHA256
whole "from buffers, TLS 1.2" --tls-max 1.2 --ciphers ECDHE-ECDSA-AES256-GCM-SHA384
[ "$engine" != kernel-tls ] || [ "$(count TlsTxSw)" -gt "$sealed" ] || fail "from buffers: the kernel sealed for no socket"
kill $server
wait $server && say "drained" || fail "the drain did not end well"
lend
grep -i "tls" /proc/net/tls_stat 2> /dev/null | head -20
[ $failed = 0 ] && echo VM-OK
poweroff -f
