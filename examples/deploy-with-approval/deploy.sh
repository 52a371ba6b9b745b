#!/bin/sh
# Builds a release, asks a person, and deploys exactly what that person approved. While nobody has
# decided there is no process: `--park` lets this script exit with code 75, and the decision starts it
# again at the top. The steps that are completed answer from the record then, and so does the question.
set -eu

target=$(cat "$ERRAND_INPUT")
target=${target:-staging}
# Where "deployed" releases go: another place for each user of this example.
place=$ERRAND_STATE_DIR/$target

echo "attempt $ERRAND_ATTEMPT of run $ERRAND_RUN_ID"

errand agent step build -- sh -c 'date -u +"release of %Y-%m-%d %H:%M:%S" > release.txt'
release=$(cat release.txt)
digest=sha256:$(sha256sum release.txt | cut -d ' ' -f 1)
echo "built:    $release"

# The decision covers this digest and nothing else: another release needs a decision of its own.
errand agent approve --action deploy --target "$target" --digest "$digest" \
  --summary "$release" --step deploy --park >decision.json || {
  code=$?
  case $code in
  75) echo "asked:    may it go to $target? The decision starts the next attempt." ;;
  1)
    echo "rejected: nothing is deployed"
    errand agent output '{"deployed": false}'
    exit 0
    ;;
  esac
  exit $code
}
echo "approved: $(cat decision.json)"

# A small question, answered while this script waits.
if [ "$target" = production ]; then
  share=$(errand agent input --prompt "To how many percent of production?" --timeout 1h \
    --schema '{"type": "integer", "minimum": 1, "maximum": 100}')
else
  share=100
fi

errand agent step deploy -- sh -c 'mkdir -p "$1" && cp release.txt "$1/release.txt"' deploy "$place"
echo "deployed: $release to $share % of $target"
errand agent output "{\"deployed\": true, \"target\": \"$target\", \"percent\": $share}"
