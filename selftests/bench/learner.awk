# SPDX-License-Identifier: GPL-2.0
# From the samples of learner.sh: a table for each load, and the bars of the cost law
# as selftests/host/simulate.c has them: phases count from 10 s after they begin.
# -v curves=DIR: writes DIR/LOAD.POLICY.csv, a line a second.

BEGIN {
	FS = ","
	SETTLE = 10
	# Instructions, as in simulate.c: of a batch that moves, of a chunk from the
	# inventory, from the page allocator, and back to it.
	BATCH = 30
	REUSE = 300
	REFILL = 2000
	RELEASE = 1500
}

/^#/ || $1 == "policy" { next }

!($1 in known) {
	known[$1]
	policies[nr_policies++] = $1
}

!($3 in seen) {
	seen[$3]
	loads[nr_loads++] = $3
}

{
	key = $1 SUBSEP $3
	total = ($6 + $7 + $8) * BATCH + $9 * REUSE + $10 * REFILL + $11 * RELEASE
	if ($2 > 0) {
		cost[key, $2] = total - last[key]
		memory[key] += $5
		if (curves)
			print $2 "," $4 "," $5 "," cost[key, $2] >(curves "/" $3 "." $1 ".csv")
	}
	last[key] = total
	cap[key, $2] = $4
	seconds = $2 > seconds ? $2 : seconds
}

# Cost of a load under a policy, from one second to another.
function cost_from(policy, load, from, to,    s, sum) {
	for (s = from + 1; s <= to; s++)
		sum += cost[policy, load, s]
	return sum + 0
}

function cost_all(policy, load) { return cost_from(policy, load, 0, seconds) }

function mean_memory(policy, load) { return memory[policy, load] / seconds }

function reversals(policy, load, from, to,    s, diff, way, nr) {
	for (s = from + 1; s <= to; s++) {
		diff = cap[policy, load, s] - cap[policy, load, s - 1]
		nr += diff * way < 0
		way = diff ? diff : way
	}
	return nr + 0
}

function best_static(load, from, to,    p, best, least, sum) {
	for (p = 0; p < nr_policies; p++) {
		if (policies[p] !~ /^static/)
			continue
		sum = cost_from(policies[p], load, from, to)
		if (!best || sum < least) {
			best = policies[p]
			least = sum
		}
	}
	return best
}

# The step law, set so that it costs as little as the cost law, with least memory.
function step_as_cheap(load,    p, best) {
	for (p = 0; p < nr_policies; p++)
		if (policies[p] ~ /^step/ &&
		    cost_all(policies[p], load) <= 1.05 * cost_all("cost", load) &&
		    (!best || mean_memory(policies[p], load) < mean_memory(best, load)))
			best = policies[p]
	return best
}

function percent(a, b) { return b ? sprintf("%+.1f %%", 100 * (a / b - 1)) : "-" }

function bar(met, text) { print (met ? "met:    " : "MISSED: ") load ": " text }

function check_phase(load, from, to,    best, ratio, nr) {
	if (from >= to)
		return
	best = best_static(load, from, to)
	ratio = cost_from("cost", load, from, to) / (cost_from(best, load, from, to) + 1e-9)
	bar(ratio <= 1.05, sprintf("%+.1f %% beside the best static CAP (%s), %d to %d s",
				   100 * (ratio - 1), substr(best, 8), from, to))
	nr = reversals("cost", load, from, to)
	bar(nr <= int((to - from + 59) / 60), nr " reversals, " from " to " to " s")
}

function check(load,    i, phase, cheap, mine) {
	if (load == "bursts") {
		check_phase(load, SETTLE, seconds)
	} else {
		phase = seconds / 3
		for (i = 0; i < 3; i++)
			check_phase(load, i * phase + SETTLE, (i + 1) * phase)
	}
	mine = cost_all("cost", load)
	bar(mine <= 1.02 * cost_all("static-64", load),
	    percent(mine, cost_all("static-64", load)) " beside the static default")
	cheap = step_as_cheap(load)
	if (!cheap) {
		print "        " load ": no setting of the step law costs as little"
		return
	}
	mine = mean_memory("cost", load)
	bar(mine <= 0.75 * mean_memory(cheap, load),
	    percent(mine, mean_memory(cheap, load)) " memory beside " cheap ", as cheap")
}

END {
	for (l = 0; l < nr_loads; l++) {
		load = loads[l]
		print "\n| " load " | cost | beside default | reversals | memory | CAP at the end |"
		print "|---|---|---|---|---|---|"
		for (p = 0; p < nr_policies; p++) {
			policy = policies[p]
			printf("| %s | %.2f | %s | %d | %.0f | %d |\n", policy,
			       cost_all(policy, load) / 1e6,
			       percent(cost_all(policy, load), cost_all("static-64", load)),
			       reversals(policy, load, 0, seconds),
			       mean_memory(policy, load), cap[policy, load, seconds])
		}
	}
	print ""
	for (l = 0; l < nr_loads; l++) {
		load = loads[l]
		check(load)
	}
}
