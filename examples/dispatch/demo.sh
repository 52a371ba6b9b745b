#!/bin/sh
# Starts a dispatcher, has it carry out three runs, and shows what came back. Needs errand on the PATH, and
# Docker or Podman. IMAGE names another image with a shell. With REDIS_URL, the runs go to the dispatcher by a bus, and
# BLOBS is the place for their orders: a folder of this demo, unless it names another, such as s3://bucket/prefix.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
mkdir "$work/there" "$work/here" "$work/agent"

bus=
if [ -n "${REDIS_URL:-}" ]; then
  # Orders are sealed with a key of the dispatcher, and lie in a place that both sides have.
  EDGE_KEY=$(cd "$work/there" && errand keys create --name demo --scope runs:read,runs:write)
  if [ -z "${BLOBS:-}" ]; then
    BLOBS=$work/blobs
    mkdir "$BLOBS"
  fi
  ERRAND_BUS=$REDIS_URL ERRAND_BLOBS=$BLOBS
  export EDGE_KEY ERRAND_BUS ERRAND_BLOBS
  bus=", mode: bus, key: EDGE_KEY, bus: { redis: \"$REDIS_URL\" }"
fi

(cd "$work/there" && exec errand dispatcher --listen 127.0.0.1:0 --slots 2 > ../listening) &
dispatcher=$!
trap 'kill $dispatcher 2> /dev/null || true; wait $dispatcher || true; rm -rf "$work"' EXIT
url=
while [ -z "$url" ]; do
  kill -0 "$dispatcher"
  sleep 0.1
  url=$(sed -n 's/^listening on //p' "$work/listening")
done

sed -e "s|DISPATCHER_URL|$url|" -e "s|, targets: |$bus&|" "$here/catalog.yaml" > "$work/catalog.yaml"
sed "s|alpine:3|${IMAGE:-alpine:3}|" "$here/agent.yaml" > "$work/agent/agent.yaml"

cd "$work/here"
errand apply -f "$work/catalog.yaml"
runs=
for name in Ada Grace Edsger; do
  runs="$runs $(errand run -d "$work/agent" --job "$name")"
done
# shellcheck disable=SC2086
errand wait $runs
for run in $runs; do
  errand output "$run"
  errand artifacts "$run" note.txt
  errand events "$run" --task | tail -n 1
  errand verify "$run"
done
