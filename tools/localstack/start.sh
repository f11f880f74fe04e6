#!/usr/bin/env bash
# LocalStack 4.9.2 without Docker, on loopback, in the foreground. Everything it installs or writes lies under FOLDER.
#
#     tools/localstack/start.sh FOLDER [PORT | install]
#
# Needs Python 3.11, gcc and cargo. The first run installs, a minute or two; later ones start in seconds.
#
# What is stood in for: functions run as processes of this machine (host_lambda), and DynamoDB is the embedded one of
# `notaflux serve`. The container image and its Docker executor are not what runs here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=$(mkdir -p "$1" && cd "$1" && pwd)
port=${2:-4566}
notaflux=${NOTAFLUX:-$(cd "$here/../.." && pwd)/target/release/notaflux}
lib=$home/root/var/lib/localstack/lib

# With `install` that is all.
if ! cmp -s "$here/requirements.txt" "$home/installed"; then
  python3 -m venv "$home/venv"
  "$home/venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
  mkdir -p "$home/plugin" && cp -r "$here/pyproject.toml" "$here/host_lambda" "$home/plugin/" # a build leaves files there
  "$home/venv/bin/pip" install -q --disable-pip-version-check --no-build-isolation "$home/plugin"
  gcc -shared -fPIC -O2 -o "$home/bind_loopback.so" "$here/bind_loopback.c" -ldl
  cp "$here/requirements.txt" "$home/installed"
fi
[[ $port != install ]] || exit 0
[[ -x $notaflux ]] || (cd "$here/../.." && cargo build --release)

# LocalStack starts its DynamoDB as `java … -port N`: stand in for the JDK and for the jar that it would download.
mkdir -p "$lib/java/21/bin" "$lib/dynamodb-local/2/DynamoDBLocal_lib"
touch "$lib/dynamodb-local/2/DynamoDBLocal.jar"
cat >"$lib/java/21/bin/java" <<JAVA
#!/usr/bin/env bash
unset LD_PRELOAD
while (( \$# )) && [[ \$1 != -port ]]; do shift; done
exec "$notaflux" serve --data "$home/dynamodb" --port 0 --aws-port "\$2"
JAVA
chmod +x "$lib/java/21/bin/java"
# What is left of an earlier run is of no use: LocalStack forgets its own part.
rm -rf "$home/dynamodb" "$home/volume"

export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
export GATEWAY_LISTEN=127.0.0.1:$port DNS_ADDRESS=0 OVERRIDE_IN_DOCKER=0
export DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 # calls nobody
export FILESYSTEM_ROOT=$home/root LOCALSTACK_VOLUME_DIR=$home/volume
export LAMBDA_RUNTIME_EXECUTOR=host DYNAMODB_IN_MEMORY=1 S3_SKIP_SIGNATURE_VALIDATION=0
export PYTHONUNBUFFERED=1 EAGER_SERVICE_LOADING=0
# GATEWAY_LISTEN alone still binds every interface.
export LD_PRELOAD=$home/bind_loopback.so
exec "$home/venv/bin/python" -m localstack.runtime.main
