package main

import (
	"maps"
	"slices"
	"strings"
)

// version is the release of TensorFlow that this project is tested with; requirements.txt names the
// same one.
const version = "2.21.0"

// A wheel is a file of the Python package index that holds TensorFlow's C library.
type wheel struct {
	project string // its name in the index
	file    string
	sha256  string // in hexadecimal
	size    int64  // bytes
}

// wheels are the files by GOOS/GOARCH. Wheels for other versions of Python have the same library.
var wheels = map[string]wheel{
	"linux/amd64": {
		project: "tensorflow-cpu",
		file:    "tensorflow_cpu-" + version + "-cp311-cp311-manylinux_2_27_x86_64.whl",
		sha256:  "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c",
		size:    273829956,
	},
	"linux/arm64": {
		project: "tensorflow",
		file:    "tensorflow-" + version + "-cp311-cp311-manylinux_2_27_aarch64.whl",
		sha256:  "4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c",
		size:    281828020,
	},
	"darwin/arm64": {
		project: "tensorflow",
		file:    "tensorflow-" + version + "-cp311-cp311-macosx_12_0_arm64.whl",
		sha256:  "51f46f4806139d01fc7920cc72a4c75876f80649bf40ff083ab6212ceb43ca88",
		size:    223405849,
	},
}

func platforms() string { return strings.Join(slices.Sorted(maps.Keys(wheels)), ", ") }

// libraryNames are the files of a wheel's libraries.
type libraryNames struct {
	library, framework string
	suffix             string            // of the names that the linker looks for
	links              map[string]string // further names, each with the file that it names
}

// namesOf gives the libraries' names for a GOOS. The links are the names that the linker looks for,
// and libtensorflow.so.2 is the soname of TensorFlow's own C distribution: what was linked against
// either runs with the other.
func namesOf(goos string) libraryNames {
	if goos == "darwin" {
		const library, framework = "libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"
		const suffix = ".dylib"
		return libraryNames{library, framework, suffix, map[string]string{
			"libtensorflow.dylib":           library,
			"libtensorflow.2.dylib":         library,
			"libtensorflow_framework.dylib": framework,
		}}
	}
	const library, framework = "libtensorflow_cc.so.2", "libtensorflow_framework.so.2"
	const suffix = ".so"
	return libraryNames{library, framework, suffix, map[string]string{
		"libtensorflow.so.2":         library,
		"libtensorflow_framework.so": framework,
	}}
}
