# Makes the root of a container in the empty folder $1: the system's programs, and mounts of the pairs of
# paths that follow, up to `--`; then runs the command behind that.
set -e
root=$1
shift
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
for part in bin sbin lib lib64 usr etc dev; do
    if [ -L "/$part" ]; then
        cp -P "/$part" "$root/$part"
    elif [ -d "/$part" ]; then
        mkdir "$root/$part"
        mount --rbind "/$part" "$root/$part"
    fi
done
mkdir -m 1777 "$root/tmp"
mkdir "$root/proc" "$root/sys" "$root/root"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then
        mkdir -p "$root$2"
    else
        mkdir -p "$(dirname "$root$2")"
        : > "$root$2"
    fi
    mount --bind "$1" "$root$2"
    shift 2
done
shift
exec /usr/sbin/chroot "$root" "$@"
