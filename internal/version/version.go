// Package version holds the version of kerasrun in one place.
package version

// Version is the version of this program, as semver.org has them, without a leading v.
const Version = "0.1.0"
