package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// cluster is what database.yaml uses of a Cluster of CloudNativePG, whose types
// are in no module that can be had everywhere.
type cluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Instances int `json:"instances"`
		Storage   struct {
			Size string `json:"size"`
		} `json:"storage"`
		Bootstrap struct {
			InitDB struct {
				Database string `json:"database"`
				Owner    string `json:"owner"`
			} `json:"initdb"`
		} `json:"bootstrap"`
		Managed struct {
			Roles []struct {
				Name       string `json:"name"`
				Ensure     string `json:"ensure"`
				Login      bool   `json:"login"`
				Inherit    bool   `json:"inherit"`
				CreateRole bool   `json:"createrole"`
			} `json:"roles"`
		} `json:"managed"`
		PostgreSQL struct {
			Parameters map[string]string `json:"parameters"`
		} `json:"postgresql"`
		Affinity struct {
			EnablePodAntiAffinity bool   `json:"enablePodAntiAffinity"`
			TopologyKey           string `json:"topologyKey"`
		} `json:"affinity"`
		Resources corev1.ResourceRequirements `json:"resources"`
	} `json:"spec"`
}

type kustomization struct {
	metav1.TypeMeta    `json:",inline"`
	Namespace          string   `json:"namespace"`
	Resources          []string `json:"resources"`
	ConfigMapGenerator []struct {
		Name  string   `json:"name"`
		Files []string `json:"files"`
	} `json:"configMapGenerator"`
	Images []struct {
		Name    string `json:"name"`
		NewName string `json:"newName"`
		NewTag  string `json:"newTag"`
	} `json:"images"`
}

// manifests are the objects that kustomization.yaml brings, by kind.
type manifests struct {
	kustomization kustomization
	namespaces    []corev1.Namespace
	clusters      []cluster
	jobs          []batchv1.Job
	deployments   []appsv1.Deployment
	budgets       []policyv1.PodDisruptionBudget
	services      []corev1.Service
	policies      []networkingv1.NetworkPolicy
}

const dir = "../kubernetes"

// load decodes every object into the type of its API, and refuses what that does
// not have.
func load(t *testing.T) manifests {
	t.Helper()
	var m manifests
	decode(t, read(t, filepath.Join(dir, "kustomization.yaml")), &m.kustomization)
	for _, name := range m.kustomization.Resources {
		for document := range bytes.SplitSeq(read(t, filepath.Join(dir, name)), []byte("\n---\n")) {
			var kind metav1.TypeMeta
			if err := yaml.Unmarshal(document, &kind); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch kind.APIVersion + " " + kind.Kind {
			case "v1 Namespace":
				m.namespaces = add(t, document, m.namespaces)
			case "postgresql.cnpg.io/v1 Cluster":
				m.clusters = add(t, document, m.clusters)
			case "batch/v1 Job":
				m.jobs = add(t, document, m.jobs)
			case "apps/v1 Deployment":
				m.deployments = add(t, document, m.deployments)
			case "policy/v1 PodDisruptionBudget":
				m.budgets = add(t, document, m.budgets)
			case "v1 Service":
				m.services = add(t, document, m.services)
			case "networking.k8s.io/v1 NetworkPolicy":
				m.policies = add(t, document, m.policies)
			default:
				t.Fatalf("%s: unexpected %s %s", name, kind.APIVersion, kind.Kind)
			}
		}
	}
	return m
}

func decode(t *testing.T, document []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(document, into); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
}

func add[T any](t *testing.T, document []byte, list []T) []T {
	t.Helper()
	var object T
	decode(t, document, &object)
	return append(list, object)
}

func selects(t *testing.T, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) bool {
	t.Helper()
	found, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return !found.Empty() && found.Matches(labels.Set(pod.Labels))
}

func TestManifests(t *testing.T) {
	m := load(t)
	if len(m.namespaces) != 1 || len(m.clusters) != 1 || len(m.jobs) != 1 || len(m.deployments) != 1 || len(m.budgets) != 1 || len(m.services) != 1 || len(m.policies) != 2 {
		t.Fatalf("there is %+v", m)
	}
	if m.namespaces[0].Name != m.kustomization.Namespace {
		t.Errorf("namespace %s", m.namespaces[0].Name)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := file.Name()
		if name != "kustomization.yaml" && !slices.Contains(append(m.kustomization.Resources, m.kustomization.ConfigMapGenerator[0].Files...), name) {
			t.Errorf("%s is not used", name)
		}
	}
	if database := m.clusters[0].Spec; database.Managed.Roles[0].Name != database.Bootstrap.InitDB.Owner || !database.Managed.Roles[0].CreateRole {
		t.Errorf("the platform's user %s may not make tenants' roles", database.Bootstrap.InitDB.Owner)
	}
	serve, bootstrap := m.deployments[0], m.jobs[0]
	if *serve.Spec.Replicas < 2 || !selects(t, serve.Spec.Selector, serve.Spec.Template) || selects(t, serve.Spec.Selector, bootstrap.Spec.Template) {
		t.Errorf("%d replicas of %v", *serve.Spec.Replicas, serve.Spec.Selector)
	}
	budget := m.budgets[0].Spec
	if !selects(t, budget.Selector, serve.Spec.Template) || budget.MinAvailable.IntValue() >= int(*serve.Spec.Replicas) || budget.MinAvailable.IntValue() < 1 {
		t.Errorf("a disruption leaves %v", budget.MinAvailable)
	}
	for _, template := range []corev1.PodTemplateSpec{serve.Spec.Template, bootstrap.Spec.Template} {
		checkPod(t, m, template.Spec)
	}
	checkServe(t, m, serve.Spec.Template)
	checkPolicies(t, m)
}

// checkPod holds a pod to the restricted standard of pod security, and what it
// refers to to what there is.
func checkPod(t *testing.T, m manifests, pod corev1.PodSpec) {
	t.Helper()
	context := pod.SecurityContext
	if !*context.RunAsNonRoot || *context.RunAsUser != 65532 || context.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *pod.AutomountServiceAccountToken || *pod.EnableServiceLinks {
		t.Errorf("a pod is not confined: %+v", context)
	}
	secrets := []string{"edgesync-keyset", m.clusters[0].Name + "-app"}
	volumes := map[string]corev1.Volume{}
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = volume
		if volume.Secret != nil && (!slices.Contains(secrets, volume.Secret.SecretName) || *volume.Secret.DefaultMode != 0o440) {
			t.Errorf("secret %s", volume.Secret.SecretName)
		}
		if volume.ConfigMap != nil && volume.ConfigMap.Name != m.kustomization.ConfigMapGenerator[0].Name {
			t.Errorf("config map %s", volume.ConfigMap.Name)
		}
	}
	for _, container := range pod.Containers {
		own := container.SecurityContext
		if *own.AllowPrivilegeEscalation || !*own.ReadOnlyRootFilesystem || !slices.Equal(own.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s is not confined", container.Name)
		}
		if container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s has no bounds", container.Name)
		}
		if container.Image != m.kustomization.Images[0].Name {
			t.Errorf("%s is of image %s", container.Name, container.Image)
		}
		for _, mount := range container.VolumeMounts {
			volume, ok := volumes[mount.Name]
			if !ok {
				t.Errorf("%s mounts %s, which is none", container.Name, mount.Name)
			}
			// A key is never behind a link, as files of a whole secret are.
			if volume.Secret != nil && (mount.SubPath == "" || filepath.Base(mount.MountPath) != mount.SubPath) {
				t.Errorf("%s is mounted at %s", mount.Name, mount.MountPath)
			}
		}
		for _, variable := range container.Env {
			if from := variable.ValueFrom; from != nil && !slices.Contains(secrets, from.SecretKeyRef.Name) {
				t.Errorf("%s is of secret %s", variable.Name, from.SecretKeyRef.Name)
			}
		}
	}
}

func checkServe(t *testing.T, m manifests, template corev1.PodTemplateSpec) {
	t.Helper()
	container := template.Spec.Containers[0]
	var settings map[string]any
	decode(t, read(t, filepath.Join(dir, m.kustomization.ConfigMapGenerator[0].Files[0])), &settings)
	ports := map[string]int32{}
	for _, port := range container.Ports {
		ports[port.Name] = port.ContainerPort
		if problems := validation.IsValidPortName(port.Name); len(problems) > 0 {
			t.Errorf("port %s: %v", port.Name, problems)
		}
	}
	for name, setting := range map[string]string{"gateway": "listen", "enrolment": "ca_listen", "metrics": "metrics_listen"} {
		if settings[setting] != fmt.Sprintf(":%d", ports[name]) {
			t.Errorf("%s is %v, and port %s is %d", setting, settings[setting], name, ports[name])
		}
	}
	for name, probe := range map[string]*corev1.Probe{"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
		if probe == nil || probe.HTTPGet.Port.StrVal != "metrics" || !slices.Contains([]string{"/readyz", "/healthz"}, probe.HTTPGet.Path) {
			t.Errorf("%s probe is %+v", name, probe)
		}
	}
	if template.Annotations["prometheus.io/port"] != fmt.Sprint(ports["metrics"]) {
		t.Errorf("scraped at %s", template.Annotations["prometheus.io/port"])
	}
	for _, port := range m.services[0].Spec.Ports {
		if ports[port.TargetPort.StrVal] != port.Port {
			t.Errorf("service port %+v", port)
		}
	}
	if !labels.SelectorFromSet(m.services[0].Spec.Selector).Matches(labels.Set(template.Labels)) {
		t.Error("the service selects nothing")
	}
	state := settings["state_dir"].(string)
	for _, variable := range container.Env {
		if variable.Name == "EDGESYNC_STATE_DIR" && variable.Value != state {
			t.Errorf("commands in the pod look into %s, and serve into %s", variable.Value, state)
		}
	}
	if !slices.ContainsFunc(container.VolumeMounts, func(mount corev1.VolumeMount) bool { return strings.HasPrefix(state, mount.MountPath+"/") }) {
		t.Errorf("%s is in no volume", state)
	}
}

// checkPolicies has each pod let in what the services send, and let out what goes
// to the database.
func checkPolicies(t *testing.T, m manifests) {
	t.Helper()
	for i, template := range []corev1.PodTemplateSpec{m.deployments[0].Spec.Template, m.jobs[0].Spec.Template} {
		policy := m.policies[i]
		if !selects(t, &policy.Spec.PodSelector, template) || len(policy.Spec.PolicyTypes) != 2 {
			t.Errorf("%s is for %v", policy.Name, policy.Spec.PodSelector)
		}
		database := slices.ContainsFunc(policy.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
			return rule.To[0].PodSelector != nil && rule.To[0].PodSelector.MatchLabels["cnpg.io/cluster"] == m.clusters[0].Name && rule.Ports[0].Port.IntValue() == 5432
		})
		if !database {
			t.Errorf("%s does not let anything out to the database", policy.Name)
		}
		open := map[int]bool{}
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				// What is open to everybody is what authenticates everybody.
				open[port.Port.IntValue()] = len(rule.From) == 0
			}
		}
		if i == 1 && len(open) != 0 {
			t.Errorf("%s lets in %v", policy.Name, open)
		}
		if i == 0 && (len(open) != 3 || !open[50052] || !open[9443] || open[9464]) {
			t.Errorf("%s lets in %v", policy.Name, open)
		}
	}
}
