// SPDX-License-Identifier: Apache-2.0
// Go: goroutines, leaf functions without a frame, maps, sorting.
package main

import (
	"fmt"
	"sort"
)

var sink int

//go:noinline
func leaf(a, b int) int { return a*31 + b }

//go:noinline
func middle(n int) int {
	s := 0
	for i := 0; i < 200; i++ {
		s += leaf(i, n)
	}
	return s
}

//go:noinline
func recurse(n int) int {
	if n == 0 {
		return middle(3)
	}
	return recurse(n-1) + 1
}

func work() {
	for {
		m := map[string]int{}
		for i := 0; i < 100; i++ {
			m[fmt.Sprint(i*7919%101)]++
		}
		keys := []string{}
		for k := range m {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		sink += len(keys) + recurse(20)
	}
}

func main() {
	go work()
	work()
}
