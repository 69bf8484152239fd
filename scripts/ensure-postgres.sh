#!/bin/sh
# Makes sure that this machine has Postgres server binaries the daemon can use, 15 or newer. Finds them where src/postgres/binaries.rs
# does. Where there are none it installs them, if that needs no question answered (root or password-free sudo, and apt-get);
# otherwise it says which command does, and fails.
set -eu

oldest=15

usable() {
    [ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 1
    major=$("$1/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
    [ "${major:-0}" -ge "$oldest" ]
}

places() {
    if [ -n "${RUNDOWN_POSTGRES_BIN:-}" ]; then
        echo "$RUNDOWN_POSTGRES_BIN"
        return
    fi
    pg_config --bindir 2>/dev/null || true
    echo "$PATH" | tr ':' '\n'
    # A pattern that matches nothing stays as it is, and is then no directory with a server in it.
    for place in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        /home/linuxbrew/.linuxbrew/opt/postgresql*/bin /usr/local/pgsql/bin; do
        echo "$place"
    done
}

found() {
    places | while IFS= read -r place; do
        # The answer leaves the pipe's subshell as text.
        if usable "$place"; then echo "$place" && break; fi
    done
}

fail() {
    echo "rundown needs Postgres $oldest or newer, and $1." >&2
    echo "  Debian, Ubuntu:  apt-get install postgresql" >&2
    echo "  macOS:           brew install postgresql@17" >&2
    echo "or name the directory of its binaries in RUNDOWN_POSTGRES_BIN." >&2
    exit 1
}

if [ -n "$(found)" ]; then exit 0; fi
if [ -n "${RUNDOWN_POSTGRES_BIN:-}" ]; then fail "RUNDOWN_POSTGRES_BIN=$RUNDOWN_POSTGRES_BIN holds none"; fi
if ! command -v apt-get >/dev/null; then fail "found none"; fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    $as_root true 2>/dev/null || fail "found none, and may not install it without a password"
fi

echo "No Postgres $oldest or newer found: installing Debian's." >&2
# Only the programs are wanted. Without this the package would make and start a cluster of its own, that nobody here uses. The file
# is taken away again, so that a later installation by hand does what its user expects.
no_cluster=/etc/postgresql-common/createcluster.d/rundown.conf
trap '$as_root rm -f "$no_cluster"' EXIT
$as_root mkdir -p "${no_cluster%/*}"
echo "create_main_cluster = false" | $as_root tee "$no_cluster" >/dev/null
$as_root apt-get update
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql

if [ -z "$(found)" ]; then fail "apt-get installed none of that age"; fi
