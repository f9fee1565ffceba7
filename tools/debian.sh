#!/bin/sh
# Installs what the tests use of the system's packages, if that needs no password: `sh tools/debian.sh chromium servers`.
# Never fails: without them tests are skipped with a reason, or fail if FXLIVE_BROWSER or FXLIVE_SERVERS is "required".

is_there() {
    case $1 in
    chromium)
        for name in chromium chromium-browser google-chrome google-chrome-stable; do
            if command -v "$name" >/dev/null 2>&1; then return 0; fi
        done
        return 1
        ;;
    servers)
        { command -v nginx || [ -x /usr/sbin/nginx ]; } >/dev/null 2>&1 && command -v tinyproxy >/dev/null 2>&1 &&
            NODE_PATH=${NODE_PATH:-/usr/share/nodejs} node -e 'require("ws")' >/dev/null 2>&1
        ;;
    esac
}

# install WHAT TESTS PACKAGE...: install packages with $as_root, or print the command if that is `nobody`.
install() {
    what=$1 tests=$2
    shift 2
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "$what: missing, and cannot be installed without apt-get. $tests need it on the PATH."
        return
    fi
    if [ "$as_root" = nobody ]; then
        echo "$what: missing. For $tests run: sudo apt-get install $*"
        return
    fi
    echo "$what: installing the system's packages for $tests."
    for pause in 5 20 0; do
        $as_root apt-get -qq -o Acquire::Retries=3 update &&
            $as_root apt-get -qq -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
                install --no-install-recommends "$@" >/dev/null && return
        sleep "$pause"
    done
    echo "$what: could not be installed (is there a network for apt-get?)."
}

export DEBIAN_FRONTEND=noninteractive
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    as_root=nobody
fi

for group in "$@"; do
    if is_there "$group"; then continue; fi
    case $group in
    chromium)
        # Without a font, text has no width, and elements that are sized by their text are invisible.
        install Chromium "browser tests" chromium fonts-dejavu-core
        ;;
    servers)
        # The package of nginx starts a server on port 80 where systemd runs: not on a machine that somebody works on.
        case $(systemctl is-system-running 2>/dev/null) in
        "" | offline | unknown) ;;
        *) as_root=nobody ;;  # for the last group
        esac
        install "nginx, tinyproxy, Node's ws" "tests with these servers" nginx tinyproxy-bin node-ws
        ;;
    esac
done
exit 0
