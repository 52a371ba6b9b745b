#!/bin/sh
# Builds kube-apiserver and kube-controller-manager from Debian's source package `kubernetes` into the folder
# $1, and installs etcd. For tests: needs root, Debian 12 with its mirror, 2.5 GB for a while, and some minutes.
set -eu
into=$1
work=$into/work
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/home"
cd "$work"

export DEBIAN_FRONTEND=noninteractive
apt-get install --quiet --yes --no-install-recommends \
    dpkg-dev etcd-server golang-1.19-go jq make patch rsync

# The sources are fetched with lists of their own, so that the machine's stay as they are.
sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources > debian.sources
apt_of_sources() {
    apt-get --quiet -o Dir::Etc::sourcelist="$work/debian.sources" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/lists" -o Dir::Cache::archives="$work/archives" \
        -o APT::Get::List-Cleanup=0 -o APT::Sandbox::User=root "$@"
}
apt_of_sources update
apt_of_sources source kubernetes

# Debian's packages of Go are found by path, and so is the package itself.
cd kubernetes-*/
mkdir -p .go/src/k8s.io
ln -sfn "$PWD" .go/src/k8s.io/kubernetes
PATH=/usr/lib/go-1.19/bin:$PATH
export PATH HOME="$work/home" GOPATH="$PWD/.go" GOCACHE="$work/cache" GO111MODULE=off CGO_ENABLED=0
export GOFLAGS="-p=$(nproc)"
export KUBE_GIT_VERSION=v1.20.2 KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20 KUBE_GIT_COMMIT=debian \
    KUBE_GIT_TREE_STATE=clean
make WHAT='cmd/kube-apiserver cmd/kube-controller-manager'
for program in kube-apiserver kube-controller-manager; do
    cp "_output/local/bin/linux/$(go env GOARCH)/$program" "$into/$program.part"
    mv "$into/$program.part" "$into/$program"
done

cd "$into"
chmod -R u+w "$work"
rm -rf "$work"
