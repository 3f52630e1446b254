#!/usr/bin/env bash
# pytest.sh FILE...: runs Python tests in the peers' environment. Exit code 77 where nothing ran: CTest counts a skip.
set -euo pipefail
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
peers=${REFRAIN_PEERS:-${REFRAIN_DEPS:-$home/.deps}/peers}
if ! "$peers/bin/python" -c 'import pytest' 2> /dev/null; then
  echo "skipped: $peers is no environment with the peers (env/test.sh makes one; REFRAIN_PEERS names another)"
  [[ -z ${CI:-} ]] && exit 77
  exit 1
fi
export PYTHONPATH=$home/tests/helpers${PYTHONPATH:+:$PYTHONPATH} PYTHONDONTWRITEBYTECODE=1
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
report=$(mktemp)
trap 'rm -f "$report"' EXIT
code=0
"$peers/bin/python" -m pytest -q -rs -p no:cacheprovider --junit-xml="$report" "$@" || code=$?
if (( code == 0 )) && "$peers/bin/python" - "$report" << 'PY'
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot().find("testsuite").attrib
sys.exit(0 if int(suite["tests"]) == int(suite["skipped"]) > 0 else 1)
PY
then
  exit 77
fi
exit "$code"
