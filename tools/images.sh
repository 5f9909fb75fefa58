#!/usr/bin/env bash
# Build the images of Dockerfile, and release them.
# usage: images.sh build                 local tags, those of components/images.py
#        images.sh push REGISTRY         to REGISTRY/vizecgnet-TARGET:VERSION-COMMIT; digests into components/images.lock
#        images.sh base                  a base image of Debian's packages, for machines that reach no registry (debootstrap, root)
# ENGINE names the engine (docker or podman; the first that is there), BASE another base image, TRAIN_TORCH=cpu the CPU's
# torch for the train image, TORCH_INDEX another index for that, BUILD_FLAGS further flags of the engine's build.
set -euo pipefail
cd "$(dirname "$0")/.."
targets=(data serve train)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
commit=$(git rev-parse HEAD)
[ -z "$(git status --porcelain --untracked-files=no)" ] || commit=$commit-dirty

engine=${ENGINE:-}
[ -n "$engine" ] || for each in docker podman; do
    if command -v "$each" >/dev/null && "$each" info >/dev/null 2>&1; then engine=$each && break; fi
done
[ -n "$engine" ] || { echo "vizecg: error: neither docker nor podman answers; start one, or name it with ENGINE=" >&2; exit 2; }

base() {
    local name=${BASE:-localhost/vizecgnet/debian-python:3.11} root
    root=$(mktemp -d)
    trap "rm -rf '$root'" EXIT
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root/base"
    rm -rf "$root"/base/var/cache/apt/archives/*.deb "$root"/base/var/lib/apt/lists/*
    tar --directory "$root/base" --create . | "$engine" import - "$name"
    echo "made $name; build with: make images BASE=$name"
}

build() {
    local base=${BASE:-$(sed -n 's/^ARG BASE=//p' Dockerfile | head -1)} target pinned flags=()
    [ -z "${TRAIN_TORCH:-}" ] || flags+=(--build-arg "TRAIN_TORCH=$TRAIN_TORCH")
    [ -z "${TORCH_INDEX:-}" ] || flags+=(--build-arg "TORCH_INDEX=$TORCH_INDEX")
    # Podman keeps no layers from one target to the next unless it is asked; Docker knows no such flag.
    case $engine in *podman) flags+=(--layers) ;; esac
    read -ra more <<<"${BUILD_FLAGS:-}"
    flags+=("${more[@]}")
    # The tag may be moved tomorrow; what is built from is a digest wherever the registry gives one.
    "$engine" image inspect "$base" >/dev/null 2>&1 || "$engine" pull "$base"
    pinned=$("$engine" image inspect --format '{{index .RepoDigests 0}}' "$base" 2>/dev/null || true)
    # An image that was made here has a digest too, but no registry to ask for it.
    case $base in localhost/*) pinned= ;; esac
    for target in "${targets[@]}"; do
        "$engine" build --target "$target" --tag "vizecgnet/python-$target:0.1.0" --build-arg BASE="${pinned:-$base}" \
            --build-arg VERSION="$version" --build-arg VIZECG_COMMIT="$commit" \
            --build-arg VIZECG_IMAGE="vizecgnet:$version-${commit:0:12}" "${flags[@]}" .
        echo "vizecgnet/python-$target:0.1.0  $("$engine" image inspect --format '{{.Size}}' "vizecgnet/python-$target:0.1.0") bytes"
    done
}

# Push NAME TAG and print the digest under which the registry has it. What podman's image inspect says is that of the
# layers as they lie here, before they were compressed: no registry knows it.
pushed() {
    local file
    case $engine in
        *podman)
            file=$(mktemp)
            "$engine" push --digestfile "$file" "$1:$2" >&2 || return
            cat "$file" && rm -f "$file" ;;
        *)
            "$engine" push "$1:$2" >&2 || return
            "$engine" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$1:$2" |
                sed -n "s#^$1@\(sha256:.*\)#\1#p" | head -1 ;;
    esac
}

push() {
    local registry=${1:?usage: images.sh push REGISTRY} lock=components/images.lock target name digest built
    case $commit in *-dirty) echo "vizecg: error: commit first; a release is traced by its commit" >&2; exit 2 ;; esac
    for target in "${targets[@]}"; do
        built=$("$engine" image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' \
            "vizecgnet/python-$target:0.1.0")
        [ "$built" = "$commit" ] ||
            { echo "vizecg: error: vizecgnet/python-$target:0.1.0 is of commit $built, not $commit; run 'make images'" >&2; exit 2; }
    done
    sed -n '/^#/p' "$lock" >"$lock.new"
    for target in "${targets[@]}"; do
        name=$registry/vizecgnet-$target
        "$engine" tag "vizecgnet/python-$target:0.1.0" "$name:$version-${commit:0:12}"
        digest=$(pushed "$name" "$version-${commit:0:12}")
        [ -n "$digest" ] || { echo "vizecg: error: the registry gave no digest of $name" >&2; exit 1; }
        echo "$target: $name@$digest" >>"$lock.new"
    done
    mv "$lock.new" "$lock"
    cat "$lock"
}

case ${1:-} in
    build) build ;;
    push) push "${2:-}" ;;
    base) base ;;
    *) sed -n '2,7p' "$0" >&2; exit 2 ;;
esac
