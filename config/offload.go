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

// featureName is what names of offload features look like, of ETH_GSTRING_LEN bytes at
// most with a NUL. Which there are depends on kernel and driver.
var featureName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// parseEthtool reads offload features that are to be switched.
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
