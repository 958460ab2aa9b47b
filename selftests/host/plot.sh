#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Plots what run.sh's simulation left: for each load CAP, hit rate and memory held
# against time, under both laws and the static default, as SVG beside the curves.
#
#   plot.sh [LOAD...]     default: all
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../vm/lib.sh"

need gnuplot-nox
dir=$HKM_TOP/build/host/simulate
[ -e "$dir/table.md" ] || die "run selftests/host/run.sh first"
cd "$dir"
if [ $# -eq 0 ]; then
	set -- *.cost.csv
	set -- "${@%.cost.csv}"
fi

for load; do
	gnuplot <<-END
	set terminal svg size 760,560 font "sans,11" background rgb "white"
	set output "$load.svg"
	set datafile separator ","
	set key outside right top
	set multiplot layout 3,1 title "$load"
	set ylabel "CAP (chunks)"
	set yrange [0:*]
	curve(law) = sprintf("$load.%s.csv", law)
	plot for [law in "cost step static-64"] curve(law) using 1:2 with steps title law
	set ylabel "hit rate"
	set yrange [0:1]
	plot for [law in "cost step static-64"] curve(law) using 1:3 with lines title law
	set ylabel "free memory (chunks)"
	set xlabel "seconds"
	set yrange [0:*]
	plot for [law in "cost step static-64"] curve(law) using 1:6 with lines title law
	unset multiplot
	END
	echo "$dir/$load.svg"
done
