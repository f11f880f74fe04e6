#!/usr/bin/env bash
# Runs MiniStack 1.5.33 on loopback, in the foreground. It installs and writes only under FOLDER.
#
#     tools/ministack/start.sh FOLDER [PORT | install]
#
# Needs Python 3.11. Every service is MiniStack's own. Functions run as processes on this machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=$(mkdir -p "$1" && cd "$1" && pwd)
port=${2:-4566}

# With `install`, the script only installs and exits.
if ! cmp -s "$here/requirements.txt" "$home/installed"; then
  python3 -m venv "$home/venv"
  "$home/venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$home/installed"
fi
[[ $port != install ]] || exit 0

mkdir -p "$home/tmp"
# AWS_ENDPOINT_URL is passed to the functions. Without BIND_HOST, MiniStack would listen on every interface.
export BIND_HOST=127.0.0.1 GATEWAY_PORT=$port AWS_ENDPOINT_URL=http://127.0.0.1:$port
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
export TMPDIR=$home/tmp
exec "$home/venv/bin/python" "$here/main.py"
