# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034
#
# What the scripts of this folder share: messages, the cache folder, root rights, Debian packages.
# Sourced, never run. Messages go to stderr, so that a script's stdout stays its result.

# A failure inside $(…) must not go unseen.
shopt -s inherit_errexit

# The checkout that the calling script belongs to.
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

# Everything fetched or made by the scripts lives here, never in the checkout.
if [[ -z ${RETSNOOP_CACHE:-} ]]; then
  RETSNOOP_CACHE=${XDG_CACHE_HOME:-${HOME:?HOME is not set; set it or RETSNOOP_CACHE}/.cache}/retsnoop-rs
fi
export RETSNOOP_CACHE

# Where rustup puts cargo; a job that was not started from a login shell may not know.
if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
  PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
fi

KERNELS_DIR=$RETSNOOP_CACHE/kernels
# Programs that were built from their sources: cargo-deny, cargo-fuzz.
TOOLS_DIR=$RETSNOOP_CACHE/tools
PATH=$TOOLS_DIR/bin:$PATH
# The matrix, oldest first. scripts/kernels says where each comes from.
KERNELS=(5.10 6.1 6.12 newest)

PROGRAM=${0##*/}

note() { printf '%s: %s\n' "$PROGRAM" "$*" >&2; }
warn() { printf '%s: warning: %s\n' "$PROGRAM" "$*" >&2; }
hint() { printf 'hint: %s\n' "$*" >&2; }
die() {
  printf '%s: error: %s\n' "$PROGRAM" "$*" >&2
  exit 1
}

# Prints the comment block at the head of the calling script, which is its help.
usage() { sed -n '2,/^[^#]/{/^# SPDX/d;s/^# \{0,1\}//p}' "$0" | sed '/./,$!d'; }

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root: directly, or through sudo.
as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif have sudo; then
    sudo -- "$@"
  else
    die "\`$1\` needs root, and there is no sudo here"
  fi
}

# Succeeds when $1 names a kernel of the matrix.
is_kernel() {
  local known
  for known in "${KERNELS[@]}"; do
    [[ $1 == "$known" ]] && return 0
  done
  return 1
}

require_kernel() {
  is_kernel "$1" || die "no kernel is called \`$1\`; there are: ${KERNELS[*]}"
}

# Installs those of the named Debian packages that are missing; quick and silent when none is.
install_packages() {
  local package missing=()
  for package; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  [[ ${#missing[@]} -eq 0 ]] && return 0
  have apt-get || die "these packages are missing, and there is no apt-get here: ${missing[*]}"
  note "installing ${missing[*]}"
  # Another process may hold the package lock for a while, on a machine that has just started.
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  local log
  log=$(mktemp)
  if ! { as_root "${apt[@]}" update && as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "failed to install ${missing[*]}"
  fi
  rm -f "$log"
}

# Prints the address of an archive this machine uses for one of the given releases.
archive_of() {
  local release
  for release; do
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
      awk -v release="$release" '$2 == release && $3 == "main" { print $1; exit }'
  done | head -n 1
}

# Prints the path of the virtiofs daemon: QEMU's own in Debian 12, a package of its own later.
virtiofsd_path() {
  local path
  for path in /usr/libexec/virtiofsd /usr/lib/qemu/virtiofsd; do
    if [[ -x $path ]]; then
      echo "$path"
      return
    fi
  done
  return 1
}

# Prints the folder that cargo builds into.
target_directory() {
  cargo metadata --format-version 1 --no-deps --manifest-path "$ROOT/Cargo.toml" |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}
