package config

import (
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

func BenchmarkAsks(b *testing.B) {
	annotations := map[string]string{"a": "", "b": "", "c": "", "d": ""}
	for b.Loop() {
		Asks(annotations)
	}
}

// BenchmarkParseAnnotations is what an annotated pod costs, two devices.
func BenchmarkParseAnnotations(b *testing.B) {
	text := "- name: enp2s2f0\n  newName: net1\n- name: enp2s2f1\n  addresses: [\"192.0.2.5/24\", \"2001:db8::5/64\"]\n  mtu: 9000\n"
	for b.Loop() {
		if _, err := parsePod(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBombs is what an annotation costs that is meant to cost much.
func BenchmarkBombs(b *testing.B) {
	texts := bombs()
	texts["aliases"] = aliasBomb()
	texts["64 KiB of devices"] = strings.Repeat("- a\n", maxAnnotation/4)
	texts["64 KiB of fields"] = "[{" + strings.Repeat("a,", maxAnnotation/2-4) + "}]"
	texts["64 KiB of near misses"] = "- {" + strings.Repeat("nam: ,", maxAnnotation/6-2) + "}"
	texts["64 KiB of addresses"] = "- addresses: [" + strings.Repeat("a,", maxAnnotation/2-9) + "]"
	texts["64 KiB of comments"] = "[" + strings.Repeat("#\n", maxAnnotation/2-1) + "]"
	texts["64 KiB of a name"] = "- name: " + strings.Repeat("a", maxAnnotation-8)
	texts["as deep as allowed"] = strings.Repeat("[", maxBrackets) + strings.Repeat("]", maxBrackets)
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if requests, _ := parsePod(text); requests != nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkAllowDevice(b *testing.B) {
	c := Default()
	for range 100 {
		c.Allow = append(c.Allow, AllowRule{Devices: []string{"eth*", "eno*"}, Drivers: []string{"ice"}, Namespaces: []string{"telco-*"}})
	}
	c.Allow = append(c.Allow, AllowRule{Devices: []string{"enp2s2f*"}, Namespaces: []string{"telco-*"}})
	dev := port()
	for b.Loop() {
		if _, err := c.AllowDevice(Pod{Namespace: "telco-a"}, netmove.Request{Device: "enp2s2f0"}, dev); err != nil {
			b.Fatal(err)
		}
	}
}
