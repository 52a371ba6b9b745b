#!/bin/sh
# Durable steps in plain sh: `errand agent step KEY -- COMMAND` runs COMMAND once per run and prints what it
# printed. When this script is killed and its run is restarted, it begins at the top again, and every step
# that was completed answers from the record.
set -eu

samples=$(cat "$ERRAND_INPUT")
samples=${samples:-3}
case $samples in
*[!0-9]* | ????*)
  echo "the payload is the number of load samples, up to 999: not '$samples'" >&2
  exit 2
  ;;
esac

echo "attempt $ERRAND_ATTEMPT of run $ERRAND_RUN_ID"

kernel=$(errand agent step kernel -- uname -srm)
echo "kernel:  $kernel"
cores=$(errand agent step cores -- getconf _NPROCESSORS_ONLN)
echo "cores:   $cores"
memory=$(errand agent step memory -- awk '/^MemAvailable/ { printf "%d MiB", $2 / 1024 }' /proc/meminfo)
echo "memory:  $memory available"
disk=$(errand agent step disk -- sh -c 'df -P . | awk "NR == 2 { print \$5 }"')
echo "disk:    $disk used here"

# One sample a second. Kill the script in the middle and restart the run: it goes on where it was.
loads=
number=1
while [ "$number" -le "$samples" ]; do
  load=$(errand agent step "load-$number" -- sh -c 'sleep 1; cut -d " " -f 1 /proc/loadavg')
  echo "load:    $load (sample $number of $samples)"
  loads="$loads $load"
  number=$((number + 1))
done

cat >report.md <<EOF
# This machine

| what | value |
| --- | --- |
| kernel | $kernel |
| cores | $cores |
| memory available | $memory |
| disk used | $disk |
| load, once a second |$loads |
EOF
errand agent artifact report.md
errand agent output "{\"kernel\": \"$kernel\", \"cores\": $cores, \"samples\": $samples}"
