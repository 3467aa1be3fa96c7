#!/usr/bin/env bash
# Builds docker/Dockerfile.cpu where there is no Docker engine and no image registry: the base image
# is made of Debian's packages, and buildah does the rest. Wants root, debootstrap, buildah, 15 GB.
#
#   docker/build-with-buildah.sh [STORAGE] [option of buildah build]...
#
# STORAGE is a folder for images (default /var/tmp/lethe-buildah); DEBIAN_MIRROR names a mirror other
# than debootstrap's own. Where packages come from an index of your own, hand its settings in for the
# build alone, so that they are in no image:
#
#   docker/build-with-buildah.sh /var/tmp/lethe-buildah --volume /etc/pip.conf:/etc/pip.conf:ro \
#     --build-arg TORCH_INDEX=https://packages.example.com/simple
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

storage=${1:-/var/tmp/lethe-buildah}
shift || true
release=bookworm # whose Python is 3.11, as the lock's
buildah=(buildah --storage-driver vfs --root "$storage/images" --runroot "$storage/run")
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)

mkdir -p "$storage"
if ! "${buildah[@]}" inspect --type image localhost/lethe-base > /dev/null 2>&1; then
  rootfs=$(mktemp -d "$storage/rootfs.XXXXXX")
  trap 'rm -rf "$rootfs"' EXIT
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv \
    "$release" "$rootfs" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
  container=$("${buildah[@]}" from scratch)
  "${buildah[@]}" copy --quiet "$container" "$rootfs" /
  "${buildah[@]}" commit --quiet --rm "$container" localhost/lethe-base
fi

# A format with health checks: OCI's own has none.
"${buildah[@]}" build --isolation chroot --format docker --layers=false \
  --build-arg BASE_IMAGE=localhost/lethe-base --build-arg VERSION="$version" "$@" \
  --file docker/Dockerfile.cpu --tag "localhost/vllm-lethe:$version-cpu" .
echo "localhost/vllm-lethe:$version-cpu, in $storage"
