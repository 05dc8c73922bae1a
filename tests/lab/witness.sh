# Runs on a node: update a record with BIND's own nsupdate, over and over, until /run/debvisor-witness.stop appears.
# An update that fails is tried again for a number of seconds before it counts as failed.
# Arguments: server, zone, record, key file, that number. Leaves "made failed" in /run/debvisor-witness.out.
vip=$1 zone=$2 name=$3 key=$4 patience=$5
stop=/run/debvisor-witness.stop
out=/run/debvisor-witness.out
made=0 failed=0 number=0
end=$((SECONDS + 300))
while [ ! -e $stop ] && [ $SECONDS -lt $end ]; do
  number=$((number + 1))
  give_up=$((SECONDS + patience))
  while true; do
    if printf 'server %s\nzone %s\nupdate delete %s TXT\nupdate add %s 60 TXT %s\nsend\n' \
        "$vip" "$zone" "$name" "$name" $number | nsupdate -t 2 -k "$key" >/run/debvisor-witness.err 2>&1; then
      made=$((made + 1))
      break
    fi
    if [ $SECONDS -ge $give_up ]; then
      failed=$((failed + 1))
      cat /run/debvisor-witness.err >>/run/debvisor-witness.errors
      break
    fi
  done
  sleep 0.2
done
echo $made $failed >$out
