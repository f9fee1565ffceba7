#!/bin/sh
# Installs Chromium for the browser tests from the system's packages, if that needs no password.
# Never fails: without a browser the tests are skipped with a reason, or fail if FXLIVE_BROWSER=required.

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done

if ! command -v apt-get >/dev/null 2>&1; then
    echo "Chromium is missing and cannot be installed without apt-get. Browser tests need it on the PATH."
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "Chromium is missing. For the browser tests run: sudo apt-get install chromium"
    exit 0
fi

echo "Installing Chromium from the system's packages for the browser tests."
export DEBIAN_FRONTEND=noninteractive
for pause in 5 20 0; do
    # Without a font, text has no width, and elements that are sized by their text are invisible.
    $as_root apt-get -qq -o Acquire::Retries=3 update &&
        $as_root apt-get -qq -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
            install --no-install-recommends chromium fonts-dejavu-core >/dev/null && exit 0
    sleep "$pause"
done
echo "Chromium could not be installed."
exit 0
