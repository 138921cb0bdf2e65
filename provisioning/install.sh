#!/usr/bin/env bash
# Put Tallygate on a Raspberry Pi: on the board itself, or from your machine over ssh. Safe to run again.
# Must never put a private signing key where the board's service can read it, and never print one.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: provisioning/install.sh BOARD [options]

  BOARD               a board file or its name: gate-pi5, portal-pi5-m7e, pricepoint-zero2w-r200, ./mine.toml
  --ssh USER@HOST     install on that board from here (it needs sudo there)
  --store ID          the shop's id                        (demo)
  --id ID             this board's id                      (entry-1, exit-1, portal-1 or price-1)
  --broker HOST:PORT  the shop's broker                    (127.0.0.1:1883: alone, records wait)
  --ca FILE           its CA; with --cert FILE --key FILE: this board's certificate and key
  --pass-key ID=HEX   a public pass key, repeatable; without one a test key pair is made
  --dry-run           say what would be done, change nothing
  --root DIR          write files below DIR and run no command (to look at them)
  -h, --help

Examples: sudo provisioning/install.sh gate-pi5
          provisioning/install.sh gate-zero2w --ssh pi@gate.local --id entry-2
          sudo provisioning/install.sh portal-pi5-m7e --id portal-2
TEXT
}

die() {
  echo "install.sh: $*" >&2
  exit 2
}

say() { echo "== $*"; }

tree="$(cd "$(dirname "$0")/.." && pwd)"
board="" ssh_target="" store=demo id="" broker=127.0.0.1:1883 ca="" cert="" key="" root="" dry=""
pass_keys=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage && exit 0 ;;
    --dry-run) dry=1 ;;
    --ssh | --store | --id | --broker | --ca | --cert | --key | --pass-key | --root)
      if [ $# -lt 2 ] || [[ "$2" == -* ]]; then die "$1 needs a value; see --help"; fi
      case "$1" in
        --ssh) ssh_target="$2" ;;
        --store) store="$2" ;;
        --id) id="$2" ;;
        --broker) broker="$2" ;;
        --ca) ca="$2" ;;
        --cert) cert="$2" ;;
        --key) key="$2" ;;
        --pass-key) pass_keys+=("$2") ;;
        --root) root="${2%/}" ;;
      esac
      shift
      ;;
    -*) die "unknown option $1; see --help" ;;
    *)
      [ -z "$board" ] || die "one board at a time: $board or $1"
      board="$1"
      ;;
  esac
  shift
done

# -- check everything before anything is touched ----------------------------------------------------

[ -n "$board" ] || { usage >&2 && exit 2; }
case "$board" in
  *.toml) board_file="$board" ;;
  *) board_file="$tree/boards/$board.toml" ;;
esac
[ -f "$board_file" ] || die "there is no board file $board_file; known: $(cd "$tree/boards" && echo gate-*.toml portal-*.toml pricepoint-*.toml)"
name="$(basename "$board_file" .toml)"
[[ "$name" =~ ^[a-z0-9-]+$ ]] || die "the board file's name ($name) may hold a to z, 0 to 9 and - only"
# says KEY VALUE: whether the board file has this line.
says() {
  grep -Eq "^[[:space:]]*$1[[:space:]]*=[[:space:]]*\"$2\"" "$board_file"
}
what=gate
if says role portal; then what=portal; fi
if says role pricepoint; then what="price point"; fi
if [ -z "$id" ]; then
  id=entry-1
  if says role exit; then id=exit-1; fi
  if says role portal; then id=portal-1; fi
  if says role pricepoint; then id=price-1; fi
fi
for one in "$store" "$id"; do
  [[ "$one" =~ ^[a-z0-9-]{1,32}$ ]] || die "\"$one\" is no id: a to z, 0 to 9 and -, at most 32"
done
[ "$id" != store ] || die "the id \"store\" is reserved; choose another --id"
[[ "$broker" =~ ^[A-Za-z0-9.-]+:[0-9]{1,5}$ ]] || die "--broker $broker: write HOST:PORT"
for one in "${pass_keys[@]}"; do
  [[ "$one" =~ ^[0-9]{1,3}=[0-9a-f]{64}$ ]] || die "--pass-key: write ID=HEX with 64 hex digits (a public key)"
done
for one in "$ca" "$cert" "$key"; do
  [ -z "$one" ] || [ -r "$one" ] || die "there is no readable file $one"
done
if [ -n "$cert$key" ]; then
  [ -n "$cert" ] && [ -n "$key" ] && [ -n "$ca" ] || die "--cert, --key and --ca belong together"
fi
if [ -z "$ca" ] && [[ "$broker" != 127.0.0.1:* ]]; then
  die "--broker $broker is not this board: plain TCP is for loopback only, give --ca, --cert and --key"
fi

# -- from your machine: copy the tree, run this script there ---------------------------------------

# remote COMMAND: on the board; in a dry run only named.
remote() {
  if [ -n "$dry" ]; then
    echo "would run on $ssh_target: $*"
    cat >/dev/null
  else
    # shellcheck disable=SC2029  # expanded here on purpose: every part was checked above
    ssh "$ssh_target" "$@"
  fi
}

over_ssh() {
  local there=tallygate-install arguments=() python="$tree/.venv/bin/python" keys="$tree/build/keys-$id" one
  if [ ${#pass_keys[@]} -eq 0 ]; then
    [ -x "$python" ] || die "first run  make venv  here: the test key pair is made and kept on this machine"
    if [ ! -f "$keys/pass-1.pub" ] && [ -z "$dry" ]; then
      (cd "$tree" && "$python" -c 'import pathlib, sys; from provisioning import keys
keys.make(pathlib.Path(sys.argv[1]))' "$keys")
    fi
    pass_keys=("1=$(cat "$keys/pass-1.pub" 2>/dev/null || printf '0%.0s' {1..64})")
  fi
  say "copying the tree to $ssh_target"
  tar -C "$tree" --exclude=./.venv --exclude=./.git --exclude=./build --exclude='*_cache' --exclude=__pycache__ \
    -cz . | remote "rm -rf $there && mkdir -m 700 $there && tar -xz -C $there"
  remote "cat > $there/boards/$name.toml" <"$board_file"
  for one in ca cert key; do
    if [ -n "${!one}" ]; then
      remote "umask 077 && cat > $there/$one.pem" <"${!one}"
      arguments+=("--$one" "$there/$one.pem")
    fi
  done
  for one in "${pass_keys[@]}"; do arguments+=(--pass-key "$one"); done
  remote "sudo bash $there/provisioning/install.sh $name --store $store --id $id --broker $broker ${arguments[*]}" \
    </dev/null
  remote "rm -rf $there" </dev/null
  if [ -n "$dry" ]; then
    return
  fi
  if [ -f "$keys/pass-1.pem" ] && [ "$what" != "price point" ]; then
    say "show this code to the $what now"
    (cd "$tree" && "$python" -m provisioning.cli pass issue --store "$store" --keys "$keys" --qr)
  fi
}

if [ -n "$ssh_target" ]; then
  over_ssh
  exit 0
fi

# -- on the board -----------------------------------------------------------------------------------

prefix=/opt/tallygate
etc=/etc/tallygate
keys=/root/tallygate-test-keys
changed=""

# run COMMAND...: a command that changes the system; only named in a dry run or below a fake root.
run() {
  if [ -n "$dry$root" ]; then
    echo "would run: $*"
  else
    "$@"
  fi
}

# The program's files, without what was made here and without the keys that came with it.
# shellcheck disable=SC2329  # invoked through run
copy_tree() {
  rm -rf "$prefix/src.new"
  mkdir -p "$prefix/src.new"
  tar -C "$tree" --exclude=./.venv --exclude=./.git --exclude=./build --exclude='*_cache' --exclude=__pycache__ \
    --exclude=./ca.pem --exclude=./cert.pem --exclude=./key.pem -c . | tar -C "$prefix/src.new" -x
  rm -rf "$prefix/src"
  mv "$prefix/src.new" "$prefix/src"
}

# put PATH MODE [OWNER]: stdin becomes the file, if it differs; a changed settings file leaves a copy behind.
put() {
  local path="$root$1" mode="$2" owner="${3:-}" fresh
  fresh="$(cat; echo x)" # the x keeps trailing newlines
  fresh="${fresh%x}"
  if [ -f "$path" ] && [ "$(cat "$path"; echo x)" = "${fresh}x" ]; then
    return
  fi
  changed=1
  if [ -n "$dry" ]; then
    echo "would write: $path"
    return
  fi
  mkdir -p "$(dirname "$path")"
  if [ -f "$path" ] && [[ "$path" == *.toml ]]; then cp -p "$path" "$path.before"; fi
  (umask 077 && printf '%s' "$fresh" >"$path.new")
  chmod "$mode" "$path.new"
  if [ -n "$owner" ] && [ -z "$root" ]; then chown "$owner" "$path.new"; fi
  mv "$path.new" "$path"
  echo "wrote $path"
}

if [ -n "$root" ] && [ ${#pass_keys[@]} -eq 0 ]; then
  die "--root needs --pass-key ID=HEX: no key pair is made there"
fi
if [ -z "$dry$root" ]; then
  [ "$(id -u)" = 0 ] || die "run it as root: sudo $0 $board"
  grep -aqs "Raspberry Pi" /proc/device-tree/model \
    || die "this machine is no Raspberry Pi; use --ssh USER@HOST to install on one, --dry-run or --root DIR to look"
  command -v apt-get >/dev/null || die "this is no Raspberry Pi OS (no apt-get)"
fi

say "packages of the system"
packages=(python3-venv python3-numpy) # and what this board's file names, no more
extras=""
if says driver pi; then
  packages+=(python3-picamera2)
fi
if says factory lgpio; then
  packages+=(python3-lgpio)
  extras="$extras,pi"
fi
if says second_opinion zbar; then
  packages+=(gcc python3-dev)
  extras="$extras,zbar"
fi
if says driver framebuffer || says driver png; then
  extras="$extras,display"
  packages+=(python3-pil)
fi
if [ ${#pass_keys[@]} -eq 0 ]; then
  extras="$extras,provisioning" # to make the test keys and show the first code
fi
export DEBIAN_FRONTEND=noninteractive
run apt-get update -qq
run apt-get install -y -qq --no-install-recommends "${packages[@]}" \
  || die "the packages above are Raspberry Pi OS's (bookworm or later); see apt-get's lines for what is missing"

say "account, program and environment"
if ! id tallygate >/dev/null 2>&1; then
  run useradd --system --home-dir /var/lib/tallygate --no-create-home --shell /usr/sbin/nologin tallygate
fi
run systemctl stop "tallygate-board@$name.service" || true # it is not there at the first installation
run copy_tree
run chown -R root:root "$prefix/src"
run chmod -R go+rX,go-w "$prefix/src"
[ -x "$prefix/venv/bin/python" ] || run python3 -m venv --system-site-packages "$prefix/venv"
# not editable: what runs is what was installed
run "$prefix/venv/bin/python" -m pip install --quiet --upgrade "$prefix/src${extras:+[${extras#,}]}"

say "keys"
if [ ${#pass_keys[@]} -eq 0 ]; then
  if [ ! -f "$keys/pass-1.pub" ]; then
    run "$prefix/venv/bin/tallygate" pass keys "$keys"
  fi
  public="$(cat "$keys/pass-1.pub" 2>/dev/null || printf '0%.0s' {1..64})"
  pass_keys=("1=$public")
  echo "The test key pair is in $keys, for root alone. A shop's own key replaces it: --pass-key."
fi
for one in ca cert key; do
  [ -z "${!one}" ] || put "$etc/$one.pem" "$([ "$one" = key ] && echo 0640 || echo 0644)" root:tallygate <"${!one}"
done

say "board file and site file"
put "$etc/$name.toml" 0644 <"$board_file"
{
  printf '# Written by install.sh: which board this is, whose shop, where the broker is. Public keys only.\n'
  printf 'store = "%s"\nboard = "%s"\ndata = "/var/lib/tallygate"\n\n[broker]\n' "$store" "$id"
  printf 'host = "%s"\nport = %d\n' "${broker%:*}" "${broker##*:}"
  for one in ca cert key; do
    [ -z "${!one}" ] || printf '%s = "%s/%s.pem"\n' "$one" "$etc" "$one"
  done
  printf '\n[pass_keys]\n'
  for one in "${pass_keys[@]}"; do printf '%d = "%s"\n' "${one%%=*}" "${one#*=}"; done
} | put "$etc/site.toml" 0644
run install -d -m 0700 -o tallygate -g tallygate /var/lib/tallygate

say "unit, watchdog and the pins' safe state"
sed "s|@PREFIX@|$prefix|g" "$tree/provisioning/tallygate-board@.service.in" \
  | put "/etc/systemd/system/tallygate-board@.service" 0644
# the SoC's watchdog counts to 15 s at most; more means none
printf '[Manager]\nRuntimeWatchdogSec=14\nRebootWatchdogSec=15\n' | put /etc/systemd/system.conf.d/tallygate.conf 0644
config=/boot/firmware/config.txt
[ -f "$root$config" ] || [ ! -f "$root/boot/config.txt" ] || config=/boot/config.txt
reboot=""

# firmware_line PATTERN LINE WHY: LINE stands in the firmware's settings, if nothing like PATTERN does.
firmware_line() {
  if [ ! -f "$root$config" ]; then
    echo "There is no $config here: see to it yourself that it says $2 ($3)."
  elif ! grep -Eq "^[[:space:]]*$1" "$root$config"; then
    reboot="$reboot${reboot:+, }$2"
    {
      cat "$root$config"
      printf '\n# tallygate: %s\n[all]\n%s\n' "$3" "$2"
    } | put "$config" 0644
  fi
}

if says factory lgpio; then
  firmware_line dtparam=strict_gpiod dtparam=strict_gpiod "outputs fall to their pull when the process dies"
fi
if says port /dev/ttyAMA0; then
  say "the serial port /dev/ttyAMA0, for the reader alone"
  if says model pi5; then
    firmware_line 'dtparam=uart0(=on)?' dtparam=uart0=on "the serial port on pins 8 and 10"
  else
    firmware_line enable_uart=1 enable_uart=1 "the serial port on pins 8 and 10"
    firmware_line 'dtoverlay=disable-bt' dtoverlay=disable-bt "the good serial port, not the one of Bluetooth"
  fi
  cmdline="${config%config.txt}cmdline.txt"
  if [ -f "$root$cmdline" ] && grep -Eq 'console=(serial0|ttyAMA0)' "$root$cmdline"; then
    reboot="$reboot${reboot:+, }no console on the serial port"
    sed -E 's/ *console=(serial0|ttyAMA0)[^ ]*//; s/^ //' "$root$cmdline" | put "$cmdline" 0644
  fi
  run systemctl disable --now serial-getty@ttyAMA0.service || true # it is not there where no console is
fi
run systemctl daemon-reload

say "self-test"
run install -d -m 0755 -o tallygate -g tallygate /run/tallygate-selftest
status=0
run env -C /run/tallygate-selftest runuser -u tallygate -g tallygate -G gpio -G dialout -G video -- env RUNTIME_DIRECTORY=/run/tallygate-selftest \
  "$prefix/venv/bin/python" -m firmware selftest "$etc/$name.toml" || status=$?
run systemctl enable "tallygate-board@$name.service"
run systemctl restart "tallygate-board@$name.service"

say "done"
[ -n "$changed" ] || echo "Nothing had changed."
echo "Watch it: journalctl -fu tallygate-board@$name"
[ -z "$reboot" ] || echo "REBOOT once before people use it: $reboot counts from the next start."
[ "$status" = 0 ] || echo "The self-test found something: see its lines above, then run install.sh again."
if [ -f "$keys/pass-1.pem" ] && [ -z "$dry$root" ] && [ "$what" != "price point" ]; then
  say "show this code to the $what now"
  "$prefix/venv/bin/tallygate" pass issue --store "$store" --keys "$keys" --qr
fi
exit "$status"
