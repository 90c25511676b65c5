#!/bin/bash
# The service behind a proxy with TLS: nginx with the very snippet of cluster/README.md, before `nl-coord serve` with a
# token. Page and login, API, events, uploads and streamed texts are tried over https, as is what must be refused; then
# once more without the line on buffering, which the check of events has to notice. nginx runs in namespaces of its own,
# where the snippet's ports and paths are free, with a certificate made for it.
#
# usage: sudo cluster/testbed/nginx.sh
# Needs root, and Debian's packages nginx-light and openssl, which are installed if they are missing; where they cannot
# be, it says so and passes.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" != inside ]; then
  [ "$(id -u)" = 0 ] || { echo "Skipped: only root makes the namespaces that it needs (sudo $0)"; exit 0; }
  if ! command -v nginx >/dev/null || ! command -v openssl >/dev/null; then
    apt-get install -y -qq nginx-light openssl >/dev/null 2>&1 || true
  fi
  for tool in nginx openssl python3; do
    command -v "$tool" >/dev/null || { echo "Skipped: there is no $tool here (apt-get install nginx-light openssl)"; exit 0; }
  done
  exec unshare --mount --net "$0" inside
fi

folder=$(mktemp -d /tmp/nl-nginx-XXXXXX)
service='' proxy=''
finish() {
  [ -z "$proxy" ] || kill "$proxy" 2>/dev/null || true
  [ -z "$service" ] || kill "$service" 2>/dev/null || true
  wait
  rm -rf "$folder"
}
trap finish EXIT

# What stands in the README between ``` and ```, from the line "server {" on.
awk '/^```/ { inside = 0 } /^server \{/ { inside = 1 } inside' cluster/README.md >"$folder/snippet"
for line in 'listen 443 ssl' 'proxy_pass http://127.0.0.1:8000' 'ssl_certificate /etc/ssl/train.pem'; do
  grep -q "$line" "$folder/snippet" || { echo "cluster/README.md has no snippet with \"$line\""; exit 1; }
done

ip link set lo up
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=train.example -addext subjectAltName=DNS:train.example \
  -keyout "$folder/train.key" -out "$folder/train.pem" 2>"$folder/openssl.log" || { cat "$folder/openssl.log"; exit 1; }
mount -t tmpfs none /etc/ssl
cp "$folder"/train.{key,pem} /etc/ssl/

head -c 32 /dev/urandom | base64 >"$folder/token"
mkdir -p "$folder"/{models,data,runs}
cp -r Tests/LanguageModelTests/Fixtures/models/qwen2_f32 "$folder/models/small"
cat >"$folder/models/small/chat_template.jinja" <<'END'
{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}
{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}
END
cp Tests/LanguageModelTests/Fixtures/data/train.jsonl "$folder/data/"
# Slow enough for what comes piece by piece to be told from what comes at once.
NL_FAILPOINTS=compute.delay=0.02,text.delay=0.05 "${NL_BIN:-.build/release}/nl-coord" serve --listen-http 127.0.0.1:8000 \
  --token "$folder/token" --models "$folder/models" --data "$folder/data" --runs "$folder/runs" \
  >"$folder/service.log" 2>&1 &
service=$!

# with_proxy SNIPPET COMMAND…
with_proxy() {
  local snippet=$1 status=0
  shift
  cat >"$folder/nginx.conf" <<END
user root;
daemon off;
pid $folder/nginx.pid;
error_log $folder/error.log;
events {}
http {
  access_log off;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxy;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  include $snippet;
}
END
  nginx -q -t -c "$folder/nginx.conf" 2>"$folder/test.log" || { cat "$folder/test.log"; return 1; }
  nginx -c "$folder/nginx.conf" 2>>"$folder/error.log" &
  proxy=$!
  "$@" || status=1
  kill "$proxy"
  wait "$proxy" || true
  proxy=''
  return "$status"
}

client=(python3 cluster/testbed/nginx_client.py "$folder/token" /etc/ssl/train.pem)
nginx -v
with_proxy "$folder/snippet" "${client[@]}" || { tail "$folder/error.log" "$folder/service.log"; exit 1; }
grep -v proxy_buffering "$folder/snippet" >"$folder/buffered"
if with_proxy "$folder/buffered" "${client[@]}" --events >"$folder/out" 2>&1; then
  echo "FAILED  without \"proxy_buffering off\" events come as they happen all the same: this test cannot fail"
  exit 1
fi
echo "ok      without \"proxy_buffering off\": $(tail -n 1 "$folder/out")"
