#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The part of scripts/bench that runs in a guest: `bench-guest.sh RETSNOOP CALLS WHAT…`.
set -euo pipefail
# Globs are for the tracer.
set -f

retsnoop=$1 calls=$2
shift 2
work=$(mktemp -d)
out=$work/out
tracer=
export XDG_CACHE_HOME=$work/cache
mkfifo "$work/talk"
exec {talk}<>"$work/talk"
ROUNDS=5
# The set that the reference was measured with, as far as globs can say it.
FIVE_THOUSAND=(-a 'a*' -a 'b*')
MAP_SET=(-e '*_sys_bpf' -a '*bpf*' -a '*map*')

# Only what bash does itself: to start a program is to wait for the host, see below.
now_ms() {
  local now=${EPOCHREALTIME/[.,]/}
  echo_ms=$((now / 1000))
}

# Starts a tracer and waits for it: `start_tracer PROGRAM ARGS…`; sets `started_ms`.
start_tracer() {
  local begin line
  now_ms && begin=$echo_ms
  # The reference says on stdout that it is ready.
  if [[ $1 == "$retsnoop" ]]; then
    # Calls in a loop are what is measured: nothing may be detached for that.
    "$@" --max-rate 0 >"$out" 2>&"$talk" &
  else
    stdbuf -oL "$@" >&"$talk" 2>&1 &
  fi
  tracer=$!
  while read -r -t 300 -u "$talk" line; do
    [[ $line == *"eceiving data"* ]] && break
    [[ $line == *error* ]] && echo "$line" >&2 && return 1
  done
  now_ms
  started_ms=$((echo_ms - begin))
}

# Ends it as Ctrl-C does; sets `stopped_ms` and `last_line`.
stop_tracer() {
  local begin line
  now_ms && begin=$echo_ms
  kill -INT "$tracer"
  wait "$tracer" || true
  now_ms
  stopped_ms=$((echo_ms - begin))
  last_line=
  while read -r -t 0.01 -u "$talk" line; do last_line=$line; done
}

# `spread NUMBERS…`: median (lowest..highest).
spread() {
  printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] " (" v[1] ".." v[NR] ")" }'
}

programs() {
  echo "$retsnoop"
  [[ -z ${RETSNOOP_REFERENCE:-} ]] || echo "$RETSNOOP_REFERENCE"
}

# `attach_line LABEL PROGRAM ARGS…`: start and stop, five times.
attach_line() {
  local label=$1 program=$2 starts=() stops=()
  shift 2
  # Once for what the kernel caches itself, and our own cache.
  start_tracer "$program" "$@" && stop_tracer
  for _ in $(seq $ROUNDS); do
    start_tracer "$program" "$@"
    starts+=("$started_ms")
    settle
    stop_tracer
    stops+=("$stopped_ms")
  done
  echo "attach ${program##*/} $label: $(spread "${starts[@]}") ms, stop $(spread "${stops[@]}") ms; $last_line"
}

bench_attach() {
  local program args
  # One by one, even the largest set takes minutes.
  local sets=('-e __x64_sys_bpf' '-c bpf')
  grep -q " register_fprobe_ips" /proc/kallsyms && sets+=("-e __x64_sys_bpf ${FIVE_THOUSAND[*]}")
  while read -r program; do
    for args in "${sets[@]}"; do
      if [[ $program == "$retsnoop" ]]; then
        # shellcheck disable=SC2086
        attach_line "$args, first time" "$program" $args --no-cache
        # shellcheck disable=SC2086
        attach_line "$args, cache warm" "$program" $args
      else
        # shellcheck disable=SC2086
        attach_line "$args" "$program" $args
      fi
    done
  done < <(programs)
}

# `calls_line LABEL CALL COUNT BASE [INTERFACE]`: cost of a call as it is now.
calls_line() {
  local median low high
  read -r median low high < <("$calls" "$2" "$3" 5 "${@:5}")
  if [[ $4 -gt 0 ]]; then
    echo "call $2, $1: $median instructions ($low..$high), $((median - $4)) added, $(awk "BEGIN { printf \"%.1f\", $median / $4 }") x untraced"
  else
    echo "call $2, $1: $median instructions ($low..$high)"
  fi
  measured=$median
}

# What a tracer reads when it has started (symbols, types, the image) must not run beside what is
# measured: there is one CPU.
settle() { sleep 3; }

# `with_tracer PROGRAM LABEL CALL COUNT BASE INTERFACE ARGS…`: the cost while a tracer runs.
with_tracer() {
  local program=$1 label=$2
  start_tracer "$program" "${@:7}" -sn
  settle
  calls_line "${program##*/} $label" "$3" "$4" "$5" "$6"
  stop_tracer
}

# How many traced calls lie in each other when the call is made: sets `frames` to the smallest
# --max-depth that leaves none of them out.
count_frames() {
  local call=$1 interface=$2 middle low=0
  shift 2
  frames=64
  while [[ $((frames - low)) -gt 1 ]]; do
    middle=$(((low + frames) / 2))
    "$retsnoop" "$@" -S -sn --json --max-depth "$middle" -o "$work/frames" -- \
      "$calls" "$call" 1 1 "$interface" >/dev/null 2>&"$talk"
    if grep -q '"beyond_depth":[1-9]' "$work/frames"; then low=$middle; else frames=$middle; fi
    while read -r -t 0.01 -u "$talk" _; do :; done
  done
}

# `percall_lines CALL INTERFACE LEFT_OUT ARGS…`: untraced, of a task out of scope, of one in scope
# whose failures (`-X ERRNO`) or successes (nothing) are not shown, shown.
percall_lines() {
  local call=$1 interface=$2 left_out=$3 base program frames
  shift 3
  calls_line untraced "$call" 300 0 "$interface"
  base=$measured
  count_frames "$call" "$interface" "$@"
  while read -r program; do
    local one=("$call" 300 "$base" "$interface" "$@")
    with_tracer "$program" "$*, $frames deep, task out of scope" "${one[@]}" -p 1
    if [[ -n $left_out ]]; then
      with_tracer "$program" "$*, $frames deep, failure left out" "${one[@]}" -X "$left_out"
      with_tracer "$program" "$*, $frames deep, failure shown" "${one[@]}"
    else
      with_tracer "$program" "$*, $frames deep, success not shown" "${one[@]}"
      with_tracer "$program" "$*, $frames deep, success shown" "${one[@]}" -S
    fi
    echo "$last_line"
  done < <(programs)
}

# VLANs upon VLANs: their functions call each other as deep as functions of the kernel do anywhere.
stack_vlans() {
  local below=bench0 number
  modprobe -a dummy 8021q
  ip link add bench0 type dummy
  ip link set bench0 up
  for number in {1..7}; do
    ip link add link "$below" name "bench$number" type vlan id "$number"
    ip link set "bench$number" up
    below=bench$number
  done
}

bench_percall() {
  # The one left out returns NULL when all went well.
  local on_send=(-e __x64_sys_sendto -a '*xmit*' -a '*sendmsg*' -a '*sendto*' -a 'packet_*' -a '*vlan*'
    -d dev_hard_start_xmit)
  percall_lines close lo EBADF -e __x64_sys_close
  percall_lines map-create-fails lo EINVAL "${MAP_SET[@]}"
  percall_lines map-lookup lo '' "${MAP_SET[@]}"
  stack_vlans
  percall_lines send bench0 '' "${on_send[@]}"
  percall_lines send bench7 '' "${on_send[@]}"
}

# 500 functions of libc, and what a probed function costs: by the kernel alone, of a task out of scope,
# of one in scope that succeeds and that fails.
bench_user() {
  local base own one glob
  local many=(-e "u:libc:{a,b,c,d,f}*")
  local probed=(-e "u:$calls:*user_probe::probed_function:int")
  glob=$("$retsnoop" "${many[@]}" --dry-run | head -n 1)
  echo "user: $glob"
  attach_line "${many[*]}" "$retsnoop" "${many[@]}"
  attach_line "${probed[*]} (one)" "$retsnoop" "${probed[@]}"
  calls_line untraced user 300 0
  base=$measured
  calls_line "uprobe and uretprobe with a program that does nothing" user-probed 300 "$base"
  own=$measured
  for one in "-p 1:task out of scope:user" "-p 1:task out of scope, fails:user-fails" \
    ":success not shown:user" ":failure shown:user-fails"; do
    IFS=: read -r options label call <<<"$one"
    # shellcheck disable=SC2086
    with_tracer "$retsnoop" "$label" "$call" 300 "$base" lo "${probed[@]}" $options
    awk "BEGIN { printf \"  %.2f x the kernel's own probes\\n\", $measured / $own }"
    echo "$last_line"
  done
}

# `flight_lines CALL INTERFACE ARGS…`: a call whose session is not shown, without the recorder, with it,
# and with it when its memory is full.
flight_lines() {
  local call=$1 interface=$2 base without with size
  shift 2
  calls_line untraced "$call" 300 0 "$interface"
  base=$measured
  count_frames "$call" "$interface" "$@"
  with_tracer "$retsnoop" "$frames deep, not shown" "$call" 300 "$base" "$interface" "$@"
  without=$measured
  for size in 64M 64K; do
    with_tracer "$retsnoop" "$frames deep, not shown, --flight=$size" "$call" 300 "$base" "$interface" "$@" "--flight=$size"
    with=$measured
    awk "BEGIN { printf \"  with the flight recorder: %.3f of the call, %.3f of what tracing adds\\n\", $with / $without, ($with - $base) / ($without - $base) }"
  done
}

bench_flight() {
  flight_lines close lo -e __x64_sys_close -X EBADF
  flight_lines map-lookup lo "${MAP_SET[@]}"
  [[ -e /sys/class/net/bench7 ]] || stack_vlans
  flight_lines send bench7 -e __x64_sys_sendto -a '*xmit*' -a '*sendmsg*' -a '*sendto*' -a 'packet_*' -a '*vlan*' -d dev_hard_start_xmit
}

# `elsewhere_lines LABEL`: what programs out of scope take now; the first time tells what they take
# untraced, and later ones are ratios of that. The budget for others holds, as in any such run.
elsewhere_lines() {
  local label=$1 begin round fork=() dd=()
  "$box" true && settle
  for ((round = 0; round < ROUNDS; round++)); do
    now_ms && begin=$echo_ms
    for _ in {1..40}; do "$box" true; done
    now_ms && fork+=($((echo_ms - begin)))
    now_ms && begin=$echo_ms
    "$box" dd if=/dev/zero of=/dev/null bs=4k count=20000 2>&-
    now_ms && dd+=($((echo_ms - begin)))
  done
  read -r fork_ms _ < <(spread "${fork[@]}")
  read -r dd_ms _ < <(spread "${dd[@]}")
  untraced_fork_ms=${untraced_fork_ms:-$fork_ms} untraced_dd_ms=${untraced_dd_ms:-$dd_ms}
  echo "elsewhere, $label: fork and exec, 40 times, $(spread "${fork[@]}") ms, $(ratio "$fork_ms" "$untraced_fork_ms") x untraced;" \
    "dd bs=4k, 20,000 times, $(spread "${dd[@]}") ms, $(ratio "$dd_ms" "$untraced_dd_ms") x"
}

ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }

# A run that chooses its functions itself. (It wants a scope: nobody is a program that never runs.)
bench_verdict() {
  local begin round alone=() beyond=() stand_alone_ms
  box=$work/busybox
  cp "$(command -v busybox)" "$box"
  elsewhere_lines untraced
  attach_line "-n nobody, first time" "$retsnoop" -n nobody --no-cache
  attach_line "-n nobody, cache warm" "$retsnoop" -n nobody
  start_tracer "$retsnoop" -n nobody
  settle
  elsewhere_lines "traced, --max-rate 0"
  stop_tracer
  echo "$last_line"
  for ((round = 0; round < ROUNDS; round++)); do
    now_ms && begin=$echo_ms
    "$box" true
    now_ms && alone+=($((echo_ms - begin)))
    now_ms && begin=$echo_ms
    "$retsnoop" -- "$box" true 2>&"$talk" >"$out"
    now_ms && beyond+=($((echo_ms - begin)))
    settle
    while read -r -t 0.01 -u "$talk" line; do last_line=$line; done
  done
  read -r stand_alone_ms _ < <(spread "${alone[@]}")
  echo "-- true: $(spread "${beyond[@]}") ms, alone $stand_alone_ms ms; $last_line"
}

bench_memory() {
  start_tracer "$retsnoop" -c bpf -ss
  "$calls" map-create-fails 99 1 >/dev/null
  sleep 3
  echo "memory $retsnoop -c bpf -ss after 100 stacks: $(awk '/VmHWM|RssAnon|RssFile/ { printf "%s %s kB  ", $1, $2 }' "/proc/$tracer/status")"
  stop_tracer
  echo "$last_line"
}

bench_burst() {
  local program
  while read -r program; do
    start_tracer "$program" -e __x64_sys_close -sn
    "$calls" close 2999 1 >/dev/null
    sleep 1
    stop_tracer
    echo "burst of 3,000 failures, ${program##*/}: $last_line"
  done < <(programs)
}

# `scope_line OPTION…`: what a call of somebody else costs.
scope_line() {
  start_tracer "$retsnoop" -e __x64_sys_close -sn "$@"
  calls_line "$*, out of scope" close 300 "$base"
  stop_tracer
}

# Sets `first_ms` (until it traces) and `after_ms`, from the command's end to ours.
run_command() {
  local begin line
  now_ms && begin=$echo_ms
  # shellcheck disable=SC2016  # for the shell that is traced
  "$retsnoop" -c bpf -- "$BASH" -c 'echo "$EPOCHREALTIME" >"$0"' "$work/ended" 2>&"$talk" &
  while read -r -t 300 -u "$talk" line; do [[ $line != *"eceiving data"* ]] || break; done
  now_ms && first_ms=$((echo_ms - begin))
  wait $! || true
  now_ms
  read -r line <"$work/ended"
  line=${line/[.,]/}
  after_ms=$((echo_ms - line / 1000))
  while read -r -t 0.01 -u "$talk" line; do last_line=$line; done
  # It detaches in the background.
  settle
}

# `children LABEL SCRIPT`: a shell's script in which each child fails once.
children() {
  "$retsnoop" -e '*_sys_close' -n "${calls##*/}" -sn -o "$work/sessions" -- "$BASH" -c "$2" "$calls" 2>&"$talk" >/dev/null
  while read -r -t 0.01 -u "$talk" line; do last_line=$line; done
  echo "$1: $last_line"
}

bench_scope() {
  local base
  calls_line untraced close 300 0
  base=$measured
  mkdir -p /sys/fs/cgroup/bench
  scope_line -p 1
  scope_line -n nobody
  scope_line --uid 12345
  scope_line --gid 12345
  scope_line --cgroup /bench
  scope_line --cgroup '!/bench' -n nobody
  scope_line --mntns 4026500001
  scope_line --netns 4026500001
  scope_line --pidns 4026500001
}

bench_command() {
  local alone=() first=() after=()
  start_tracer "$retsnoop" -c bpf
  settle
  stop_tracer
  run_command
  for _ in $(seq $ROUNDS); do
    start_tracer "$retsnoop" -c bpf
    settle
    stop_tracer
    alone+=("$started_ms")
    run_command
    first+=("$first_ms") after+=("$after_ms")
  done
  echo "command: start $(spread "${first[@]}") ms, without one $(spread "${alone[@]}") ms; ours ends $(spread "${after[@]}") ms after its own"
}

bench_children() {
  # shellcheck disable=SC2016
  children "1,000 children in a row" 'for i in {1..1000}; do "$0" close 0 1; done'
  # shellcheck disable=SC2016
  children "200 children at once" 'for i in {1..200}; do "$0" close 0 1 & done; wait'
}

bench_containers() {
  local i id
  mkdir -p "$work/host/sys" "$work/host/proc"
  mount --rbind /sys "$work/host/sys" && mount --rbind /proc "$work/host/proc"
  for i in {1..500}; do
    printf -v id %064x "$i"
    mkdir -p "/sys/fs/cgroup/docker/$id" "$work/host/var/lib/docker/containers/$id"
    echo "{\"Name\":\"/web-$i\",\"Config\":{\"Image\":\"shop:2\"}}" >"$work/host/var/lib/docker/containers/$id/config.v2.json"
  done
  "$retsnoop" list containers --host-root "$work/host" >/dev/null
  TIMEFORMAT="list containers, 500 of them: %U s user, %S s system"
  time "$retsnoop" list containers --host-root "$work/host" | tail -n 1
  umount -R "$work/host/sys" "$work/host/proc"
}

# `first_stack OPTION…`: a tracer that is attached and idle, an error, and the time until its stack
# is printed with a line; sets `stack_us`.
first_stack() {
  local begin end line
  start_tracer "$retsnoop" -e __x64_sys_openat -a do_sys_openat2 -a path_openat -p $$ -ss "$@"
  settle
  begin=${EPOCHREALTIME/[.,]/}
  # bash opens it itself: no program has to be started.
  { : </nonexistent; } 2>&"$nowhere" || true
  while read -r -t 300 -u "$stacks" line; do
    if [[ $line == *fs/*.c:* ]]; then break; fi
  done
  end=${EPOCHREALTIME/[.,]/}
  stack_us=$((end - begin))
  stop_tracer
  while read -r -t 0.01 -u "$stacks" line; do :; done
}

bench_first() {
  local round figures
  mkfifo "$work/stacks"
  exec {stacks}<>"$work/stacks" {nowhere}>/dev/null
  out=$work/stacks
  first_stack --no-cache
  figures=()
  for ((round = 0; round < ROUNDS; round++)); do first_stack --no-cache && figures+=("$stack_us"); done
  echo "first stack after its error, without an index: $(spread "${figures[@]}") us"
  # The index is made beside the trace, with a quarter of the processor.
  out=$work/out
  start_tracer "$retsnoop" -e __x64_sys_openat -p $$ -ss
  for ((round = 0; round < 120; round++)); do
    compgen -G "$XDG_CACHE_HOME/retsnoop-rs/*.index" >/dev/null && break
    sleep 1
  done
  stop_tracer
  out=$work/stacks
  figures=()
  for ((round = 0; round < ROUNDS; round++)); do first_stack && figures+=("$stack_us"); done
  echo "first stack after its error, with an index: $(spread "${figures[@]}") us"
  out=$work/out
}

# Files come from the host, and while a guest waits its clock runs on: so they are copied first.
image=/usr/lib/debug/boot/vmlinux-$(uname -r)
cp "$retsnoop" "$calls" "$image" "$work/"
mount --bind "$work/${image##*/}" "$image"
retsnoop=$work/${retsnoop##*/} calls=$work/${calls##*/}
echo "kernel $(uname -r), $(nproc) CPU, instruction-counted"
for what in "$@"; do
  "bench_$what"
done
umount "$image"
rm -rf "$work"
