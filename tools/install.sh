#!/bin/sh
# sh tools/install.sh PYTHON ARGUMENT...: runs `pip install ARGUMENT...` with the given Python.
# A network error is retried twice, any other error ends the script at once; pip's last lines are shown in both cases.
# build/install.log has the whole of a failed attempt: pip's debug messages, which alone say why an index gave no answer,
# then its output (with -v, because with a log pip hides the output of a package's build otherwise).
set -u

python=$1
shift
log=build/install.log

# How pip 23 to 26 report a failed connection, a failed server or a download cut short. Lines about a request that pip
# repeats itself do not count, because it may have succeeded; an untrusted certificate does not get better.
network_error() {
    grep -v -e 'Retrying (Retry(' -e 'CERTIFICATE_VERIFY_FAILED' "$log" | grep -q -E \
        -e 'connection error|Max retries exceeded|Connection (aborted|broken|refused|reset)|[Tt]imed out|respond within' \
        -e 'Temporary failure in name resolution|Name or service not known|Network is unreachable' \
        -e 'HTTP error (429|5[0-9][0-9])|(429 Client|5[0-9][0-9] Server) Error' \
        -e 'incomplete-download|IncompleteRead|DO NOT MATCH THE HASHES|Wheel .* is invalid'
}

echo "pip install $*: a minute or two the first time."
mkdir -p build
for pause in 5 20 none; do
    rm -f "$log"
    if output=$(PIP_LOG=$log "$python" -m pip install -v --progress-bar off "$@" 2>&1 </dev/null); then
        rm -f "$log"  # about 60 MB
        exit 0
    fi
    printf '%s\n' "$output" >>"$log"
    printf '%s\n' "$output" | tail -n 20
    if [ "$pause" = none ] || ! network_error; then break; fi
    echo "A network error. Next attempt in $pause s."
    sleep "$pause"
done
echo "pip install failed. Its last lines are above; the whole log is $log."
exit 1
