#!/bin/sh
# Installs, upgrades and uninstalls the sync service of component {{.Component}}.
# It needs nothing from the internet. Running it again changes nothing.
set -eu
umask 077

component='{{.Component}}'
tenant='{{.Tenant}}'
root=
runtime=
replace=
start=
uninstall=
purge=
binary=
image='edgesync:latest'
archive=

usage() {
	cat <<'END'
usage: install.sh [--runtime systemd|podman|docker|manual] [--start] [--replace]
                  [--binary FILE] [--image NAME] [--image-archive FILE] [--root DIR]
       install.sh --uninstall [--purge] [--root DIR]

  --runtime NAME        what runs the service (default: what this host has)
  --start               start it now and whenever the host starts
  --replace             replace an identity that is installed already
  --binary FILE         install this edgesync program, or upgrade to it (default:
                        the file edgesync beside this script, if there is one)
  --image NAME          container image to run (default: edgesync:latest)
  --image-archive FILE  load the image from this file first
  --root DIR            install below DIR (an image) instead of this host
  --uninstall           stop the service and take it off this host; what it knows
                        stays
  --purge               with --uninstall: take its identity and data away, too
END
}

die() {
	printf 'install.sh: %s\n' "$1" >&2
	exit "${2:-1}"
}

value() {
	[ "$2" -ge 2 ] || die "name $3 after $1" 2
}

while [ "$#" -gt 0 ]; do
	case $1 in
	--root)
		value "$1" "$#" 'a folder'
		[ -d "$2/" ] || die "install into $2: there is no such folder" 2
		root=$(CDPATH='' cd -- "$2" && pwd -P)
		[ "$root" != / ] || root=
		shift
		;;
	--runtime)
		value "$1" "$#" 'systemd, podman, docker or manual'
		case $2 in
		systemd | podman | docker | manual) runtime=$2 ;;
		*) die "run with $2: it is none of systemd, podman, docker and manual" 2 ;;
		esac
		shift
		;;
	--binary)
		value "$1" "$#" 'a file'
		[ -f "$2" ] || die "install program $2: there is no such file" 2
		binary=$2
		shift
		;;
	--image)
		value "$1" "$#" 'an image'
		case $2 in
		'' | -* | *[!A-Za-z0-9._:/@-]*) die "run image $2: that is no name of an image" 2 ;;
		*) image=$2 ;;
		esac
		shift
		;;
	--image-archive)
		value "$1" "$#" 'a file'
		[ -f "$2" ] || die "load image $2: there is no such file" 2
		archive=$2
		shift
		;;
	--replace) replace=yes ;;
	--start) start=yes ;;
	--uninstall) uninstall=yes ;;
	--purge) purge=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done
[ -z "$purge" ] || [ -n "$uninstall" ] || die '--purge goes with --uninstall' 2
[ -z "$root" ] || [ -z "$start" ] || die '--start is for this host, not for --root' 2

# absolute PATH: a name that no program takes for a flag.
absolute() {
	case $1 in
	/*) printf '%s\n' "$1" ;;
	*) printf '%s/%s\n' "$(pwd -P)" "$1" ;;
	esac
}

here=$(dirname -- "$0")
from=$(CDPATH='' cd -- "$here" && pwd -P)
etc=$root/etc/edgesync
data=$root/var/lib/edgesync/edge
unit=$root/etc/systemd/system/{{.Unit}}
program=$root/usr/local/bin/edgesync
# note is what was installed: lines of NAME=VALUE.
note=$etc/package
container=edgesync-run

has() {
	command -v "$1" >/dev/null 2>&1
}

# noted NAME: a value of the note, empty where there is none.
noted() {
	[ ! -f "$note" ] || sed -n "s/^$1=//p" "$note"
}

detect() {
	if [ -n "$root" ] || [ -d /run/systemd/system ]; then
		echo systemd
	elif [ -e /.dockerenv ] || [ -e /run/.containerenv ]; then
		echo manual
	elif has podman; then
		echo podman
	elif has docker; then
		echo docker
	else
		echo manual
	fi
}

# packaged tells whether the distribution's package brought the unit.
packaged() {
	[ -e "$root/usr/lib/systemd/system/{{.Unit}}" ] || [ -e "$root/lib/systemd/system/{{.Unit}}" ]
}

systemd_runs() {
	[ -z "$root" ] && [ -d /run/systemd/system ]
}

if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
	die 'install: run it as root, or with --root DIR'
fi
was=$(noted component)
if [ -n "$was" ] && { [ "$was" != "$component" ] || [ "$(noted tenant)" != "$tenant" ]; }; then
	other="$was of tenant $(noted tenant)"
else
	other=
fi

if [ -n "$uninstall" ]; then
	if [ ! -e "$note" ] && [ ! -e "$etc/certs" ]; then
		printf 'nothing is installed in %s\n' "$etc"
		exit 0
	fi
	[ -z "$other" ] || die "uninstall $component: $etc is of $other: use its own package" 6
	before=$(noted runtime)
	case ${before:-systemd} in
	podman | docker)
		if [ -z "$root" ] && has "$before"; then
			"$before" rm --force "$container" >/dev/null 2>&1 || true
		fi
		;;
	*)
		if systemd_runs; then
			systemctl disable --now '{{.Unit}}' >/dev/null 2>&1 || true
		fi
		;;
	esac
	rm -f -- "$unit"
	if systemd_runs; then
		systemctl daemon-reload
	fi
	if [ "$(noted program)" = yes ]; then
		rm -f -- "$program"
	fi
	if [ -n "$purge" ]; then
		rm -rf -- "$etc/certs" "$etc/certs.next" "$etc/certs.old" "$data"
		rm -f -- "$etc/config/sync.json" "$note" "$root/etc/sysusers.d/edgesync-run.conf" "$root/etc/tmpfiles.d/edgesync-run.conf"
		for dir in "$etc/config" "$etc"; do
			rmdir -- "$dir" 2>/dev/null || true
		done
		printf 'uninstalled %s and all it knew\n' "$component"
	else
		printf 'uninstalled %s; its identity and data stay in %s and %s (--purge takes them away)\n' "$component" "$etc" "$data"
	fi
	exit 0
fi

has sha256sum || die 'check the package: sha256sum is not installed'
(cd -- "$from" && sha256sum -c SHA256SUMS >/dev/null 2>&1) ||
	die "check the package in $from: a file is missing or was changed: copy it again"
package=$(sha256sum <"$from/SHA256SUMS")
package=${package%% *}
[ -n "$runtime" ] || runtime=$(detect)
if [ -z "$binary" ] && [ -f "$from/edgesync" ]; then
	binary=$from/edgesync
fi
[ -z "$binary" ] || binary=$(absolute "$binary")
[ -z "$archive" ] || archive=$(absolute "$archive")
if [ -n "$start" ] && [ "$runtime" = manual ]; then
	die 'start the service: this host has no systemd, podman or docker to do it: leave --start out' 2
fi

# The identity that is there stays when it came with this package: it may have
# been renewed since.
identity=new
if [ -e "$etc/certs/component.pem" ]; then
	if [ "$(noted package)" = "$package" ] || cmp -s -- "$from/certs/component.pem" "$etc/certs/component.pem"; then
		identity=kept
	elif [ -z "$replace" ]; then
		die "install $component: $etc holds another identity${other:+, of $other}: run it again with --replace to put this one in its place" 6
	fi
fi
changed=
[ "$identity" = kept ] || changed=yes

# owner is who the service runs as. On an image there may be nobody yet: it is
# made, and given its files, when that starts.
owner=
case $runtime in
podman | docker) owner=65532:65532 ;;
*)
	if [ -n "$root" ]; then
		[ ! -f "$root/etc/passwd" ] || owner=$(sed -n 's/^edgesync:[^:]*:\([0-9]*\):\([0-9]*\):.*/\1:\2/p' "$root/etc/passwd")
	else
		if ! id edgesync >/dev/null 2>&1; then
			if has useradd; then
				useradd --system --user-group --home-dir /var/lib/edgesync --no-create-home --shell /usr/sbin/nologin edgesync
			else
				adduser -S -D -H -h /var/lib/edgesync -s /sbin/nologin edgesync
			fi
		fi
		owner=$(id -u edgesync):$(id -g edgesync)
	fi
	;;
esac

# own PATH: the service may renew what is in its folder of certificates.
own() {
	if [ -n "$owner" ] && [ "$(id -u)" -eq 0 ]; then
		chown -- "$owner" "$1"
	fi
}

# put FILE TARGET MODE: copies beside the target, then renames, unless it is there.
put() {
	if [ -f "$2" ] && cmp -s -- "$1" "$2"; then
		chmod "$3" "$2"
		return 0
	fi
	rm -f -- "$2.next"
	cp -- "$1" "$2.next"
	chmod "$3" "$2.next"
	mv -f -- "$2.next" "$2"
	changed=yes
}

(umask 022 && mkdir -p -- "$etc/config")

if [ "$identity" = new ]; then
	# The folder of certificates is built beside the old one and replaced as a whole:
	# the service owns the old one, so nothing is written into it as root.
	rm -rf -- "$etc/certs.next" "$etc/certs.old"
	mkdir -- "$etc/certs.next"
	for file in ca-chain.pem ca.json component-key.pem component.pem; do
		mode=644
		[ "$file" != component-key.pem ] || mode=600
		put "$from/certs/$file" "$etc/certs.next/$file" "$mode"
		own "$etc/certs.next/$file"
	done
	own "$etc/certs.next"
	[ ! -e "$etc/certs" ] || mv -- "$etc/certs" "$etc/certs.old"
	mv -- "$etc/certs.next" "$etc/certs"
	rm -rf -- "$etc/certs.old"
fi
put "$from/config/sync.json" "$etc/config/sync.json" 644

installed=$(noted program)
if [ -n "$binary" ]; then
	(umask 022 && mkdir -p -- "$root/usr/local/bin")
	put "$binary" "$program" 755
	installed=yes
fi

if [ "$runtime" = systemd ]; then
	if packaged; then
		rm -f -- "$unit"
	else
		(umask 022 && mkdir -p -- "$root/etc/systemd/system")
		put "$from/{{.Unit}}" "$unit" 644
	fi
	if [ -n "$root" ] && [ -z "$owner" ]; then
		(
			umask 022
			mkdir -p -- "$root/etc/sysusers.d" "$root/etc/tmpfiles.d"
			printf 'u edgesync - "edgesync services" /var/lib/edgesync\n' >"$root/etc/sysusers.d/edgesync-run.conf"
			printf 'Z /etc/edgesync/certs - edgesync edgesync\n' >"$root/etc/tmpfiles.d/edgesync-run.conf"
		)
	fi
	if systemd_runs; then
		systemctl daemon-reload
	fi
else
	rm -f -- "$unit"
	(umask 022 && mkdir -p -- "$root/var/lib")
	[ -d "$root/var/lib/edgesync" ] || mkdir -- "$root/var/lib/edgesync"
	[ -d "$data" ] || mkdir -- "$data"
	[ "$runtime" = manual ] || chmod 711 "$root/var/lib/edgesync"
	[ "$runtime" != manual ] || own "$root/var/lib/edgesync"
	own "$data"
fi

printf 'component=%s\ntenant=%s\npackage=%s\nruntime=%s\nprogram=%s\n' "$component" "$tenant" "$package" "$runtime" "$installed" >"$note.next"
chmod 644 "$note.next"
mv -f -- "$note.next" "$note"

# run_container COMMAND...: the words that run the service in a container, behind
# the given ones.
run_container() {
	"$@" run --detach --name "$container" --restart always --pull never --read-only --tmpfs /tmp \
		--cap-drop all --security-opt no-new-privileges --user 65532:65532 \
		--volume /etc/edgesync:/etc/edgesync:Z --volume /var/lib/edgesync/edge:/var/lib/edgesync/edge:Z \
		"$image" run --config /etc/edgesync/config/sync.json --data-dir /var/lib/edgesync/edge
}

printf 'installed %s in %s, for %s\n' "$component" "$etc" "$runtime"
case $runtime in
systemd)
	if [ -n "$start" ]; then
		systemctl enable --now '{{.Unit}}'
	fi
	if systemd_runs && [ -n "$changed" ]; then
		systemctl try-restart '{{.Unit}}'
	fi
	if [ -z "$start" ]; then
		printf 'next:\n'
		[ -x "$program" ] || [ -x "$root/usr/bin/edgesync" ] || printf '  install the edgesync program as /usr/local/bin/edgesync (--binary FILE)\n'
		printf '  systemctl enable --now %s\n' '{{.Unit}}'
	fi
	;;
podman | docker)
	if [ -n "$archive" ]; then
		has "$runtime" || die "load image $archive: $runtime is not installed"
		"$runtime" load --input "$archive" >&2
	fi
	if [ -n "$start" ]; then
		has "$runtime" || die "start the service: $runtime is not installed"
		"$runtime" image inspect "$image" >/dev/null 2>&1 ||
			die "start the service: there is no image $image here: load it with --image-archive FILE, or name another with --image"
		"$runtime" rm --force "$container" >/dev/null 2>&1 || true
		run_container "$runtime" >/dev/null
	else
		printf 'next:\n  '
		run_container echo "$runtime"
	fi
	;;
*)
	printf 'next, under whatever keeps it running, as user edgesync:\n'
	[ -x "$program" ] || [ -x "$root/usr/bin/edgesync" ] || printf '  install the edgesync program as /usr/local/bin/edgesync (--binary FILE)\n'
	printf '  edgesync run --config /etc/edgesync/config/sync.json --data-dir /var/lib/edgesync/edge\n'
	;;
esac
