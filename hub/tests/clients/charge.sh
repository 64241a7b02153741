#!/usr/bin/env bash
# A charger on mosquitto's command line clients: one charge from the first heartbeat to the stored record. Needs
# Debian's `mosquitto-clients`.
#
# PILE_CODE and PILE_SECRET say who it is, PILE_HOST and PILE_PORT where the hub is; PILE_CA, PILE_CERT and PILE_KEY are
# files for TLS. It tells its steps on standard output; exit code 3 when the hub refuses it.
set -euo pipefail

CODE=$PILE_CODE
PORT=${PILE_PORT:-$([[ -n ${PILE_CA:-} ]] && echo 8883 || echo 1883)}
WITHIN_S=60

PILE=(-V mqttv311 -h "${PILE_HOST:-127.0.0.1}" -p "$PORT" -i "$CODE" -u "$CODE" -k 30 -q 1)
[[ -z ${PILE_SECRET:-} ]] || PILE+=(-P "$PILE_SECRET")
[[ -z ${PILE_CA:-} ]] || PILE+=(--cafile "$PILE_CA")
[[ -z ${PILE_CERT:-} ]] || PILE+=(--cert "$PILE_CERT" --key "$PILE_KEY")
DOWN=(-t "pile/$CODE/command" -t "pile/$CODE/record/ack")

now_ms() { date +%s%3N; }

# The text or number of a field in the flat JSON that the hub sends.
field() { sed -E "s/.*\"$1\":\"?([^\",}]*)\"?.*/\1/" <<<"$2"; }

# Publishes each line of its input with QoS 1; done when the hub has stored them all.
send() { mosquitto_pub "${PILE[@]}" -t "pile/$CODE/$1" -l; }

# Every run of a mosquitto client is a connection of its own: the pile is online while one runs.
if ! said=$(mosquitto_sub "${PILE[@]}" "${DOWN[@]}" -E 2>&1); then
  echo "refused: $said"
  exit 3
fi
printf '{"pileCode":"%s","status":1,"timestamp":%d}\n' "$CODE" "$(now_ms)" | send heartbeat
echo "online"

# The hub keeps the command until the pile subscribes.
COMMAND=$(mosquitto_sub "${PILE[@]}" "${DOWN[@]}" -C 1 -W $WITHIN_S)
[[ $(field type "$COMMAND") == startCharging ]]
ORDER=$(field orderNo "$COMMAND") BEGIN=$(now_ms)
printf '{"commandId":"%s","orderNo":"%s","result":"accepted","timestamp":%d}\n' \
  "$(field commandId "$COMMAND")" "$ORDER" "$BEGIN" | send command/ack
echo "started $ORDER"

# The mobile network drops a charger without telling either side. It dials again, and the hub lets go of the old
# connection, which is still open here: mosquitto_sub tells that it dials a second time. It is stopped, for it would
# take the connection back.
exec {listener}< <(exec stdbuf -oL mosquitto_sub "${PILE[@]}" "${DOWN[@]}" -d 2>&1)
OLD=$!
until_line() { while read -r -t $WITHIN_S -u "$listener" line; do [[ $line != *"$1"* ]] || return 0; done; return 1; }
until_line SUBACK
mosquitto_sub "${PILE[@]}" "${DOWN[@]}" -E
until_line "sending CONNECT"
kill "$OLD"
echo "taken over"

for seq in 1 2 3; do
  printf '{"orderNo":"%s","connectorId":1,"seq":%d,"voltage":400,"current":166,"currentPower":66.6,"totalPower":%d.%d%d%d,"timestamp":%d}\n' \
    "$ORDER" $seq $seq $seq $seq $seq $((BEGIN + seq * 60000))
done | send charging/status
echo "charged"

ANSWER=$(mosquitto_rr "${PILE[@]}" -t "pile/$CODE/charging/finished" -e "pile/$CODE/record/ack" -W $WITHIN_S -m "$(
  printf '{"orderNo":"%s","connectorId":1,"seq":4,"totalPower":3.333,"stopReason":2,"startTime":%d,"endTime":%d}' \
    "$ORDER" "$BEGIN" $((BEGIN + 180000))
)")
[[ $(field orderNo "$ANSWER") == "$ORDER" && $(field result "$ANSWER") == stored ]]
echo "record stored"
