#!/bin/sh
# Installs requirements.lock into .venv; does nothing where that is done. make runs it before every target.
# PYTHON: the interpreter; without it, the first of python3.11, python3.12, python3.13 and python3 that fits.
cd "$(dirname "$0")/.." || exit
stamp=.venv/.installed

fail() {
    echo "persistem: $*" >&2
    exit 1
}

# the folder, because .venv has its path in every script and in the editable install; and what is to be installed
wanted() {
    pwd -P
    cat requirements.lock envs/uv.lock pyproject.toml | cksum
}

works() {
    .venv/bin/python -c "import persistem" 2>/dev/null
}

installed() {
    [ "$(cat $stamp 2>/dev/null)" = "$(wanted)" ] && works
}

# sets PYTHON to an interpreter that can make .venv
find_python() {
    if [ "$PYTHON" ]; then set -- "$PYTHON"; else set -- python3.11 python3.12 python3.13 python3; fi
    found=
    for name; do
        version=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        case $version in
            3.11 | 3.12 | 3.13)
                if "$name" -c "import ensurepip, venv" 2>/dev/null; then PYTHON=$name; return; fi
                version="$version without venv (on Debian and Ubuntu: apt install python$version-venv)" ;;
        esac
        case $found in *"$version"*) ;; *) found="${found:+$found, }Python $version" ;; esac
    done
    fail "Python 3.11, 3.12 or 3.13 with venv is needed; found ${found:-no ${PYTHON:-python3}}." \
        "To name one that is elsewhere: make install PYTHON=/path/to/python3"
}

# runs a part of the installation; shows what it says only where it fails for a reason that has no sentence here
run() {
    said=$("$@" 2>&1) && return
    case $said in
        *"No space left on device"* | *"os error 28"*)
            fail "the disk is full; .venv and the cache of its packages need 2.5 GB. The next call starts again" ;;
        *"from versions: none"* | *"Failed to fetch"* | *"error sending request"*)
            fail "the packages cannot be downloaded; is there a network? The next call starts again" ;;
    esac
    echo "$said" >&2
    fail "the installation failed, as said above. The next call starts again"
}

installed && exit
# one installation at a time; nothing is written to the file that is locked
if command -v flock >/dev/null; then
    exec 9>>envs/install.sh
    flock -n 9 || { echo "waiting for another installation into .venv …"; flock 9; }
    installed && exit
fi
trap 'fail "the installation was stopped. The next call starts again"' INT TERM

if [ ! -e .venv ]; then
    reason="installing into .venv"
elif [ ! -s $stamp ]; then
    reason=".venv is not complete: making it anew"
elif [ "$(head -n 1 $stamp)" != "$(pwd -P)" ]; then
    reason=".venv belongs to $(head -n 1 $stamp): making it anew"
elif ! works; then
    reason="the Python of .venv is gone: making it anew"
else
    reason=
fi
if [ "$reason" ]; then
    find_python
    echo "$reason (about half a minute) …"
    # a link leads to the environment of another folder, which is not ours to clear
    if [ -L .venv ]; then rm .venv; fi
    run "$PYTHON" -m venv --clear .venv
    # uv installs the lock in a tenth of pip's time; it comes by pip from a lock of its own
    run .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r envs/uv.lock
else
    echo "bringing .venv up to date with requirements.lock …"
fi
rm -f $stamp
run .venv/bin/uv pip install --quiet --python .venv/bin/python --compile-bytecode --require-hashes -r requirements.lock
run .venv/bin/uv pip install --quiet --python .venv/bin/python --no-build-isolation --no-deps --editable .
wanted >$stamp
echo "installed; PersisTEM is in .venv (source .venv/bin/activate)"
