#!/usr/bin/env bash
# Runs LocalStack 4.9.2 without Docker, on loopback, in the foreground. It installs and writes only under FOLDER.
#
#     tools/localstack/start.sh FOLDER [PORT | install]
#
# Needs Python 3.11, gcc and cargo. The first run installs packages for a minute or two. Later runs start in seconds.
#
# Two parts differ from LocalStack's container image: functions run as processes of this machine (host_lambda), not in Docker,
# and DynamoDB is the embedded one of `notaflux serve`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=$(mkdir -p "$1" && cd "$1" && pwd)
port=${2:-4566}
notaflux=${NOTAFLUX:-$(cd "$here/../.." && pwd)/target/release/notaflux}
lib=$home/root/var/lib/localstack/lib

# With `install`, the script only installs and exits.
if ! cmp -s "$here/requirements.txt" "$home/installed"; then
  python3 -m venv "$home/venv"
  "$home/venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
  mkdir -p "$home/plugin" && cp -r "$here/pyproject.toml" "$here/host_lambda" "$home/plugin/" # a copy, because the build writes files there
  "$home/venv/bin/pip" install -q --disable-pip-version-check --no-build-isolation "$home/plugin"
  gcc -shared -fPIC -O2 -o "$home/bind_loopback.so" "$here/bind_loopback.c" -ldl
  cp "$here/requirements.txt" "$home/installed"
fi
[[ $port != install ]] || exit 0
[[ -x $notaflux ]] || (cd "$here/../.." && cargo build --release)

# LocalStack starts its DynamoDB as `java … -port N`. Replace java by a script, and put an empty jar so that it downloads none.
mkdir -p "$lib/java/21/bin" "$lib/dynamodb-local/2/DynamoDBLocal_lib"
touch "$lib/dynamodb-local/2/DynamoDBLocal.jar"
cat >"$lib/java/21/bin/java" <<JAVA
#!/usr/bin/env bash
unset LD_PRELOAD
while (( \$# )) && [[ \$1 != -port ]]; do shift; done
exec "$notaflux" serve --data "$home/dynamodb" --port 0 --aws-port "\$2"
JAVA
chmod +x "$lib/java/21/bin/java"
# LocalStack keeps no state between runs, so remove the state of an earlier run.
rm -rf "$home/dynamodb" "$home/volume"

export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
export GATEWAY_LISTEN=127.0.0.1:$port DNS_ADDRESS=0 OVERRIDE_IN_DOCKER=0
export DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 # no calls to other addresses
export FILESYSTEM_ROOT=$home/root LOCALSTACK_VOLUME_DIR=$home/volume
export LAMBDA_RUNTIME_EXECUTOR=host DYNAMODB_IN_MEMORY=1 S3_SKIP_SIGNATURE_VALIDATION=0
export PYTHONUNBUFFERED=1 EAGER_SERVICE_LOADING=0
# With GATEWAY_LISTEN alone, LocalStack still binds every interface.
export LD_PRELOAD=$home/bind_loopback.so
exec "$home/venv/bin/python" -m localstack.runtime.main
