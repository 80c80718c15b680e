#!/bin/sh
# Stands in for a service manager: a service runs while its file exists.
set -eu
file="${KIDNEY_SERVICES:?the folder of the services}/$2"
case "$1" in
    start) touch "$file" ;;
    stop) rm -f "$file" ;;
    status) test -e "$file" || exit 3 ;;
    *) exit 64 ;;
esac
