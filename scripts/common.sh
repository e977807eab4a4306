# shellcheck shell=bash
# What the scripts of this folder share; sourced, with the repository's root as the current folder.

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
  # shellcheck disable=SC2034 # used by those who source this
  bold='' dim='' red='' green='' plain=''
fi

say() { printf '%s\n' "${bold}$*${plain}"; }
note() { printf '%s\n' "${dim}$*${plain}"; }
fail() {
  printf '%s\n' "${red}$*${plain}" >&2
  exit 1
}

# quietly LOG COMMAND...: the command's output goes to LOG, and its end is shown only if the command fails.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 60 "$log" >&2
    fail "failed: $* (all of it: $log)"
  fi
}

# configure BUILD OPTIONS...: a configured build folder, whatever lies there from an earlier run or another Meson.
configure() {
  local build=$1
  shift
  if [[ -f $build/build.ninja ]] && meson setup --reconfigure "$build" -Db_colorout=auto "$@" >"$build/setup.log" 2>&1 </dev/null; then
    return
  fi
  rm -rf "$build"
  quietly "$build.setup.log" meson setup "$build" -Db_colorout=auto "$@"
  mv "$build.setup.log" "$build/setup.log"
}
