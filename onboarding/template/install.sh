#!/bin/sh
# Installs the edge package of component {{.Component}}. Running it again changes nothing.
set -eu
umask 077

component='{{.Component}}'
root=
replace=

usage() {
	cat <<'END'
usage: install.sh [--root DIR] [--replace]

  --root DIR   install below DIR (an image, a container) instead of this host
  --replace    replace an identity that is installed already
END
}

die() {
	printf 'install.sh: %s\n' "$1" >&2
	exit "${2:-1}"
}

while [ "$#" -gt 0 ]; do
	case $1 in
	--root)
		[ "$#" -ge 2 ] || die 'name a folder after --root' 2
		root=${2%/}
		[ -d "$root/" ] || die "install into $2: there is no such folder" 2
		shift 2
		;;
	--replace)
		replace=yes
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
done

from=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
etc=$root/etc/edgesync
unit=$root/etc/systemd/system/{{.Unit}}

command -v sha256sum >/dev/null 2>&1 || die 'check the package: sha256sum is not installed'
(cd -- "$from" && sha256sum -c SHA256SUMS >/dev/null 2>&1) ||
	die "check the package in $from: a file is missing or was changed: copy it again"

if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
	die 'install: run it as root, or with --root DIR'
fi

if [ -e "$etc/certs/component.pem" ] && [ -z "$replace" ] &&
	! cmp -s -- "$from/certs/component.pem" "$etc/certs/component.pem"; then
	die "install $component: $etc holds another identity: run it again with --replace to put this one in its place" 6
fi

# On an image there is nobody to own the files yet.
owner=
if [ -z "$root" ]; then
	if ! id edgesync >/dev/null 2>&1; then
		if command -v useradd >/dev/null 2>&1; then
			useradd --system --user-group --home-dir /var/lib/edgesync --no-create-home --shell /usr/sbin/nologin edgesync
		else
			adduser -S -D -H -h /var/lib/edgesync -s /sbin/nologin edgesync
		fi
	fi
	owner=$(id -u edgesync):$(id -g edgesync)
fi

# own PATH: the service may renew what is in its folder of certificates.
own() {
	[ -z "$owner" ] || chown "$owner" "$1"
}

# put NAME TARGET MODE: copies beside the target, then renames.
put() {
	rm -f -- "$2.next"
	cp -- "$from/$1" "$2.next"
	chmod "$3" "$2.next"
	mv -f -- "$2.next" "$2"
}

(umask 022 && mkdir -p -- "$etc/config" "$(dirname -- "$unit")")

# The folder of certificates is built beside the old one and replaced as a whole:
# the service owns the old one, so nothing is written into it as root.
rm -rf -- "$etc/certs.next" "$etc/certs.old"
mkdir -- "$etc/certs.next"
put certs/ca-chain.pem "$etc/certs.next/ca-chain.pem" 644
put certs/ca.json "$etc/certs.next/ca.json" 644
put certs/component-key.pem "$etc/certs.next/component-key.pem" 600
put certs/component.pem "$etc/certs.next/component.pem" 644
for file in ca-chain.pem ca.json component-key.pem component.pem; do
	own "$etc/certs.next/$file"
done
own "$etc/certs.next"
[ ! -e "$etc/certs" ] || mv -- "$etc/certs" "$etc/certs.old"
mv -- "$etc/certs.next" "$etc/certs"
rm -rf -- "$etc/certs.old"
put config/sync.json "$etc/config/sync.json" 644
put {{.Unit}} "$unit" 644

if [ -z "$root" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi

printf 'installed %s in %s\n' "$component" "$etc"
if ! command -v edgesync >/dev/null 2>&1; then
	printf 'next: install the edgesync binary as /usr/local/bin/edgesync, then\n'
else
	printf 'next:\n'
fi
printf '  systemctl enable --now %s\n' '{{.Unit}}'
