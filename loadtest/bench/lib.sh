# Servers to measure, and how their CPU and memory are read. Sourced by `run`.

HZ=$(getconf CLK_TCK)
KEY=bench-key-that-is-used-nowhere-else-0
STARTED=()

say() { echo "$*" >&2; }

free_port() {
  local port
  for port in $(shuf -i 20000-30000 -n 50); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  say "no free port"
  return 1
}

# start_hub DIR: sets HUB_PID, HUB_HTTP, HUB_MQTT once it is ready.
start_hub() {
  mkdir -p "$1"
  : >"$1/hub.out"
  PILEHUB__HTTP__LISTEN=127.0.0.1:0 PILEHUB__MQTT__LISTEN=127.0.0.1:0 PILEHUB__AUTH__JWT_KEY=$KEY \
    PILEHUB__LOG__FILTER=warn "$BIN/pilehub" serve --data-dir "$1/data" >"$1/hub.out" 2>"$1/hub.err" &
  HUB_PID=$!
  STARTED+=("$HUB_PID")
  for ((i = 0; i < 600; i++)); do
    HUB_HTTP=$(sed -n 's/^pilehub http=\([^ ]*\) .*/\1/p' "$1/hub.out")
    HUB_MQTT=$(sed -n 's/.* mqtt=mqtt:\/\/\([^ ]*\)$/\1/p' "$1/hub.out")
    [[ $HUB_HTTP ]] && curl -sf -o "$1/ready" "$HUB_HTTP/readyz" && return
    kill -0 "$HUB_PID" 2>/dev/null || break
    sleep 0.1
  done
  say "the hub did not become ready: $(tail -n 3 "$1/hub.err")"
  return 1
}

# start_mosquitto DIR: sets MOSQUITTO_PID, MOSQUITTO_MQTT.
start_mosquitto() {
  mkdir -p "$1"
  local port
  port=$(free_port)
  printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nmax_queued_messages 0\n' \
    "$port" >"$1/mosquitto.conf"
  mosquitto -c "$1/mosquitto.conf" >"$1/mosquitto.log" 2>&1 &
  MOSQUITTO_PID=$! MOSQUITTO_MQTT=127.0.0.1:$port
  STARTED+=("$MOSQUITTO_PID")
  for ((i = 0; i < 100; i++)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
    sleep 0.1
  done
  say "mosquitto did not start"
  return 1
}

# stop PID: by SIGTERM, and waits for it.
stop() {
  kill "$1" 2>/dev/null && wait "$1" 2>/dev/null || true
}

stop_all() {
  local pid
  for pid in "${STARTED[@]}"; do stop "$pid"; done
}

# sample PID FILE: milliseconds since 1970 and CPU ticks (user + system) of a process, ten times a second.
sample() {
  local stat now
  while read -r stat <"/proc/$1/stat"; do
    now=${EPOCHREALTIME/./}
    # The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
    read -ra stat <<<"${stat##*) }"
    echo "${now%???} $((stat[11] + stat[12]))"
    sleep 0.1
  done 2>/dev/null >"$2"
}

# cpu_per_message FILE FROM_MS TO_MS RATE: µs of CPU per message between two moments.
cpu_per_message() {
  awk -v from="$2" -v to="$3" -v rate="$4" -v hz="$HZ" '
    $1 >= from && !first { first = $1; a = $2 }
    $1 <= to { last = $1; b = $2 }
    END { printf "%.2f\n", (b - a) * 1e6 / hz / (rate * (last - first) / 1000) }' "$1"
}

rss_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

ms() { awk -v us="$1" 'BEGIN { printf "%.1f ms", us / 1000 }'; }
