#!/usr/bin/env bash
# in_peers.sh NAME [OPTION...]: runs NAME.py, which says what it measures (--help), in the peers' environment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1; shift
peers=${REFRAIN_PEERS:-$here/../../.deps/peers}
if [[ ! -x $peers/bin/python ]]; then
  echo "no peers' environment in $peers: run env/test.sh peers once, or set REFRAIN_PEERS" >&2
  exit 2
fi
exec "$peers/bin/python" "$here/$name.py" "$@"
