#!/bin/sh
# Makes sure that this machine has a nats-server that the tests can start for themselves. Where there is none it installs Debian's, if
# that needs no question answered (root or password-free sudo, and apt-get); otherwise it says which command does, and fails.
#
# Only the tests need it: a daemon publishes to a server that is somebody's already.
set -eu

found() {
    # Debian puts it where only root's PATH looks.
    PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "${RUNDOWN_NATS_SERVER:-nats-server}"
}

fail() {
    echo "The tests of the sink into NATS need nats-server, and $1." >&2
    echo "  Debian, Ubuntu:  apt-get install nats-server" >&2
    echo "  macOS:           brew install nats-server" >&2
    echo "or name the program in RUNDOWN_NATS_SERVER." >&2
    exit 1
}

if found >/dev/null; then exit 0; fi
if [ -n "${RUNDOWN_NATS_SERVER:-}" ]; then fail "RUNDOWN_NATS_SERVER=$RUNDOWN_NATS_SERVER is none"; fi
if ! command -v apt-get >/dev/null; then fail "found none"; fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    $as_root true 2>/dev/null || fail "found none, and may not install it without a password"
fi

echo "No nats-server found: installing Debian's." >&2
# Only the program is wanted. Without this the package would start a server of its own and start it again at every boot; a machine that
# has a policy already keeps it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
$as_root apt-get update
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nats-server
if [ -d /run/systemd/system ]; then $as_root systemctl disable nats-server.service >/dev/null 2>&1 || true; fi

if ! found >/dev/null; then fail "apt-get installed none"; fi
