# Sourced by the Makefile: sets `python` to an interpreter that is new enough, or says what is missing and stops.
python=
for candidate in ${TOUCHSTONE_PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$(command -v "$candidate")
        break
    fi
done
if [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null || echo "no python3")
    echo "make: Python 3.11 or newer is needed and this machine has $found (TOUCHSTONE_PYTHON=/path/to/python names another)" >&2
    exit 1
fi
