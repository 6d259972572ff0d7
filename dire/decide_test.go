package dire_test

import (
	"testing"

	"edgesync/dire"
	"edgesync/dire/diretest"
)

// splits are the rules of a plan's splits.
func splits(plan dire.Plan) (rules []dire.DecisionRule) {
	for _, d := range plan.Decisions {
		if d.Kind == dire.DecisionSplit {
			rules = append(rules, d.Rule)
		}
	}
	return rules
}

func TestASplitTellsWhatItComesFrom(t *testing.T) {
	const macD = "00:1b:21:00:00:0d"
	for name, test := range map[string]struct {
		before []dire.Batch
		then   dire.Batch
		want   dire.DecisionRule
	}{
		"what they shared is gone": {
			[]dire.Batch{batch("armis", 1, named("1", macA)), batch("netbox", 2, named("7", macA))},
			batch("netbox", 3, named("7", macB)), dire.RuleChanged,
		},
		"it is gone, and one of them shares another in vain": {
			[]dire.Batch{batch("armis", 1, named("1", macA, macC), named("2", macC)), batch("netbox", 2, named("7", macA))},
			batch("netbox", 3, named("7", macB)), dire.RuleChanged,
		},
		"what they share is ambiguous": {
			[]dire.Batch{batch("armis", 1, named("1", macA)), batch("netbox", 2, named("7", macA))},
			batch("armis", 3, named("2", macA)), dire.RuleAmbiguous,
		},
		"a chain": {
			[]dire.Batch{batch("armis", 1, named("1", macA)), batch("netbox", 2, named("7", macA, macB))},
			batch("armis", 3, named("2", macB)), dire.RuleChain,
		},
		"a chain beside a retracted member": {
			[]dire.Batch{
				batch("armis", 1, named("1", macA)), batch("netbox", 1, named("7", macA, macB)),
				batch("wifi", 1, dire.Update{MACs: []string{macA, macD}}),
				batch("wifi", 2, dire.Update{MACs: []string{macA, macD}, Deleted: true}),
			},
			batch("armis", 3, named("2", macB)), dire.RuleChain,
		},
	} {
		for seed := range uint64(8) {
			m := diretest.NewMemory(seed)
			for _, b := range test.before {
				m.Ingest(t, b)
			}
			if got := splits(m.Ingest(t, test.then)); len(got) != 1 || got[0] != test.want {
				t.Errorf("%s: the splits are of %v, want %s", name, got, test.want)
			}
		}
	}
}
