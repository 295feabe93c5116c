package config

import (
	"regexp"
)

// The largest packets of BIG TCP (GSO_MAX_SIZE and GRO_MAX_SIZE of the kernel, eight times
// 65535), and the smallest in which data is left beside headers.
const (
	minMaxSize = 512
	maxMaxSize = 8 * 65535
)

func parseMaxSize(v value) int {
	n, _ := v.integer(minMaxSize, maxMaxSize)
	return n
}

// featureName matches names of offload features, which have at most ETH_GSTRING_LEN
// bytes with a NUL. Kernel and driver decide which exist.
var featureName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// parseEthtool reads the offload features to switch on or off.
func parseEthtool(v value) map[string]bool {
	given, _ := v.fields(schema{known: []string{"features"}})
	features := map[string]bool{}
	given["features"].eachField(func(name string, field value) {
		if !featureName.MatchString(name) {
			field.refuse("%s is not the name of an offload feature: \"ethtool -k\" shows them", quote(name))
			return
		}
		if field.is(aBoolean) {
			features[name] = field.boolean(false)
		}
	})
	if len(features) == 0 {
		return nil
	}
	return features
}
