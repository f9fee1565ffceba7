#!/bin/sh
# Installs Chromium for the browser tests from the system's packages, where that needs no password.
# Never fails: without a browser those tests say that they were skipped, or fail where FXLIVE_BROWSER=required.

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done

if ! command -v apt-get >/dev/null 2>&1; then
    echo "No Chromium here, and no apt-get to install it with: browser tests need one on the PATH."
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "No Chromium here. For the browser tests: sudo apt-get install chromium"
    exit 0
fi

echo "Installing Chromium from the system's packages, for the browser tests."
export DEBIAN_FRONTEND=noninteractive
for pause in 5 20 0; do
    # A font is needed: without one, text has no width and nothing that is laid out by it shows.
    $as_root apt-get -qq -o Acquire::Retries=3 update &&
        $as_root apt-get -qq -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
            install --no-install-recommends chromium fonts-dejavu-core >/dev/null && exit 0
    sleep "$pause"
done
echo "Chromium could not be installed."
exit 0
