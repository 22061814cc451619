#!/bin/bash
# Walks systemd/README.md on a fresh Debian, as its reader would: each indented line is typed as it
# stands. Then looks at what became of it. Ends with VM-OK, or names what failed.
cd /src || exit 1
failed=0
say() { echo "walk: $*"; }
fail() { say "FAILED: $*"; failed=1; }
journal() { journalctl -b --no-pager -o cat -u "nightfill-$1"; }
asked_of() { systemctl show -p "$2" --value "nightfill-$1"; }

within() { # seconds, command: again and again until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.5
    done
}

section() { # heading: its indented lines
    awk -v heading="## $1" '$0 == heading {on = 1; next} /^## / {on = 0} on && /^    / {print substr($0, 5)}' systemd/README.md
}

line() { # a line, what stands for YOUR in it
    local text=${1//YOUR/"$2"}
    say "\$ $text"
    eval "$text" || fail "$text"
}

ends() {
    [ $failed = 0 ] || for program in control director oca fill-agent; do journal $program | tail -25; done
    say "kernel $(uname -r), $(systemctl --version | head -1)"
    # On a line of its own, whatever the console shows before it.
    [ $failed = 0 ] && printf '\nVM-OK\n'
    systemctl poweroff
}
trap ends EXIT

# "from any authority browsers know": this one.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 300 -subj "/CN=test authority" -keyout ca.key -out ca.pem 2> /dev/null
install -D ca.pem /usr/local/share/ca-certificates/test.crt && update-ca-certificates > /dev/null 2>&1
certify() { # name, files
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$2.key" -out "$2.csr" 2> /dev/null
    openssl x509 -req -in "$2.csr" -CA ca.pem -CAkey ca.key -days 300 -extfile <(echo "subjectAltName=DNS:$1") -out "$2.pem" 2> /dev/null
}
certify control.example operator && certify edge-a1.cdn.example box || fail "certificates"
printf '127.0.0.1 localhost control.example boxes.control.example\n127.0.0.2 edge-a1.cdn.example\n' > /etc/hosts

say "the operator's machine"
while read -r text; do
    case $text in
        "cargo build"*) continue ;; # the host did
        # "then edit them": both machines are this one, so each has an address of its own.
        "runuser "*) sed -i 's/0\.0\.0\.0:443/127.0.0.1:443/' /etc/nightfill/control.toml ;;
    esac
    line "$text" operator
done < <(section "First steps on the operator's machine")
page() { curl -sSf -o /dev/null https://control.example/; }
within 30 page && say "the member page is there" || fail "no member page"

say "the appliance"
while read -r text; do
    case $text in
        "export "*)
            line "$text" box
            sed -i 's/0\.0\.0\.0:443/127.0.0.2:443/; s,^url = .*,url = "https://boxes.control.example:8443",; s/^key_file/# key_file/; s/^# identity/identity/; s/^hot_set_bytes.*/hot_set_bytes = 134217728/' /etc/nightfill/{oca,agent}.toml
            sed -i 's/0\.0\.0\.0:443/127.0.0.2:443/' /etc/systemd/system/nightfill-oca-media.socket
            ;;
        "ocactl appliance key-for"*) line "$text" box | tee /tmp/key-for ;;
        "oca register"*)
            grep -o '^nfr_.*' /tmp/key-for > /tmp/key
            line "$text" box < /tmp/key
            ;;
        "ocactl appliance ls"*)
            healthy() { ocactl appliance ls | grep -q healthy; }
            within 60 healthy || fail "the box does not report"
            line "$text" box
            ;;
        *) line "$text" box ;;
    esac
done < <(section "First steps on an appliance")

say "what became of it"
for program in control director oca fill-agent; do
    within 30 systemctl is-active -q nightfill-$program || fail "nightfill-$program is not active"
    [ "$(asked_of $program NRestarts)" = 0 ] || fail "nightfill-$program was started $(asked_of $program NRestarts) times more"
    say "nightfill-$program: $(grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' "/proc/$(asked_of $program MainPID)/status" | tr '\n\t' '  ')"
    [ "$(asked_of $program User)" = nightfill ] || fail "nightfill-$program runs as $(asked_of $program User)"
done
journal oca | grep -o '"engine":"kernel-tls".*' || fail "under its unit oca does not get the kernel's TLS"
ask() { curl -sS --max-time 60 -o /dev/null -w '%{http_code}\n' https://edge-a1.cdn.example/nothing 2>&1; }
[ "$(ask)" = 404 ] || fail "a stranger is told $(ask)"
another() { # pid before: another one serves now
    local pid
    pid=$(asked_of oca MainPID)
    [ "$pid" != "$1" ] && [ "$pid" != 0 ] && [ "$(ask)" = 404 ]
}

while read -r text; do
    pid=$(asked_of oca MainPID)
    line "$text" box
    case $text in "systemctl reload"*) within 60 another "$pid" && say "another program serves" || fail "no other program took over" ;; esac
done < <(section "A new version, without a request lost")
for restart in 1 2 3; do
    # By a file: the first request to end must not be the last.
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do ask; done > /tmp/asked &
    systemctl restart nightfill-oca || fail "restart $restart"
    wait $!
    if grep -qv '^404$' /tmp/asked; then fail "restart $restart was seen: $(tr '\n' ' ' < /tmp/asked)"; else say "nobody saw restart $restart"; fi
done
pid=$(asked_of oca MainPID)
kill -9 "$pid"
within 60 another "$pid" && say "killed, and another one serves" || fail "after a kill nobody came"
pid=$(asked_of oca MainPID)
kill -STOP "$pid"
within 120 another "$pid" && say "stood still, and another one serves" || fail "the watchdog did not see that it stood still"

for program in control director oca fill-agent; do
    denied=$(journal $program | grep -iE 'permission denied|not permitted|read-only file system|panicked')
    [ -z "$denied" ] || fail "nightfill-$program: $denied"
done
