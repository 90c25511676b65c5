# For scripts that compare with packages of PyPI: a Python that has them. To be sourced.

# Sets `python` to $NL_PYTHON, which has them already, or to that of an environment in FOLDER/venv, which is made once.
#
# usage: need_python FOLDER PACKAGE…
need_python() {
  python=${NL_PYTHON:-$1/venv/bin/python}
  if [ -x "$python" ]; then return; fi
  echo "Making a Python environment in $1/venv (${*:2})"
  python3 -m venv "$1/venv"
  "$1/venv/bin/pip" install -q "${@:2}"
}
