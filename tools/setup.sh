#!/bin/sh
# Installs what the machine lacks. Usage: tools/setup.sh python | tex | poppler
# Says what it does, does nothing where nothing is missing, and where it may not install says what to install and stops.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }
stop() { printf '%s\n' "$*" >&2; exit 1; }
now() { date +%s; }

# apt_install WHAT PACKAGE...: with root or a sudo that asks nothing; otherwise stops and says what to type
apt_install() {
    what=$1; shift
    sudo=
    if [ "$(id -u)" != 0 ]; then sudo="sudo -n"; fi
    if ! command -v apt-get >/dev/null 2>&1; then
        stop "$what is missing. Please install it (Debian's names: $*), then type the command again."
    fi
    if [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; then
        stop "$what is missing. Please type:  sudo apt-get install --no-install-recommends $*"
    fi
    start=$(now)
    say "Installing $what with apt ..."
    log=$(mktemp)
    for attempt in "" update; do
        if [ "$attempt" = update ]; then $sudo apt-get -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1 || true; fi
        if $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" >>"$log" 2>&1; then
            say "  $what installed in $(($(now) - start)) s"
            rm -f "$log"
            return 0
        fi
    done
    tail -5 "$log" >&2
    stop "apt could not install $what; its whole output is in $log"
}

python_for_us() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            say "$candidate"
            return 0
        fi
    done
    return 1
}

python() {
    found=$(python_for_us) || stop "Python 3.11, 3.12 or 3.13 is needed and was not found. Name yours with PYTHON=, as in: make paper PYTHON=/path/to/python3.12"
    start=$(now)
    if ! "$found" -c 'import ensurepip' 2>/dev/null; then
        version=$("$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        apt_install "Python's venv module" "$version"
    fi
    say "Installing the Python packages of requirements.lock into .venv ..."
    rm -f .venv/ready
    [ -x .venv/bin/python ] && .venv/bin/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || "$found" -m venv --clear .venv
    # uv itself, at the version and with the hashes of the lock; where it cannot be had, pip does the same more slowly
    awk '/^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' requirements.lock >.venv/uv.txt
    if .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.txt &&
        .venv/bin/uv pip sync -q --python .venv/bin/python --require-hashes requirements.lock; then
        how=uv
    else
        say "  uv did not manage it; pip takes a few minutes ..."
        .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
        how=pip
    fi
    .venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation --offline -e . 2>/dev/null ||
        .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
    # LightGBM's wheel brings all but the system's OpenMP, which a bare machine lacks
    if ! .venv/bin/python -c 'import lightgbm' 2>/dev/null; then apt_install "OpenMP (for LightGBM)" libgomp1; fi
    # JupyterLab then asks no newcomer about its news, and asks the network for none
    mkdir -p .venv/etc/jupyter/labconfig
    printf '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}\n' >.venv/etc/jupyter/labconfig/page_config.json
    touch .venv/ready
    say "  packages installed with $how in $(($(now) - start)) s"
}

tex() {
    if command -v latexmk >/dev/null 2>&1 && kpsewhich lmodern.sty >/dev/null && kpsewhich booktabs.sty >/dev/null && kpsewhich natbib.sty >/dev/null && kpsewhich microtype.sty >/dev/null; then
        return 0
    fi
    apt_install "TeX (65 MB)" texlive-latex-recommended texlive-fonts-recommended lmodern latexmk
}

poppler() {
    if command -v pdftotext >/dev/null 2>&1; then return 0; fi
    apt_install "pdftotext" poppler-utils
}

case "${1:-}" in
    python | tex | poppler) "$1" ;;
    *) stop "usage: tools/setup.sh python | tex | poppler" ;;
esac
