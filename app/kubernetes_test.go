package app

import (
	"strings"
	"testing"

	"tidewaiter/sensor/kubernetes"
)

// TestKubernetesSettings: what is wrong is told with the key and its line, and
// what is right reaches the sensor.
func TestKubernetesSettings(t *testing.T) {
	_, err := settingsOf(t, `sensors:
  kubernetes:
    enabled: true
    context: admin
    namespaces: [prod, ../secrets]
`)
	for _, want := range []string{
		"config.yaml:3: sensors.kubernetes.cluster: ", "config.yaml:4: sensors.kubernetes.context: ", `config.yaml:5: sensors.kubernetes.namespaces[1]: no namespace is called "../secrets"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\n%v", want, err)
		}
	}
	_, err = settingsOf(t, "sensors: {kubernetes: {enabled: true, node: '${TIDEWAITER_TEST_NODE}'}}")
	if err == nil || !strings.Contains(err.Error(), "sensors.kubernetes.node: ") {
		t.Error(err)
	}
	t.Setenv("TIDEWAITER_TEST_NODE", "node-7")
	s, err := settingsOf(t, "cluster: blue\nsensors: {defaults: false, kubernetes: {enabled: true, node: '${TIDEWAITER_TEST_NODE}', kubeconfig: admin.conf}}")
	if err != nil {
		t.Fatal(err)
	}
	o := s.Sensors.Kubernetes.options()
	if o.Node != "node-7" || o.Cluster != "blue" || !strings.HasPrefix(o.Kubeconfig, "/") {
		t.Errorf("%+v", o)
	}
	all, err := sensors(s)
	if err != nil || len(all) != 1 || all[0].Name() != "kubernetes" {
		t.Error(all, err)
	}
	if s, err = settingsOf(t, "sensors: {defaults: false}"); err != nil || s.Sensors.Kubernetes.on(s.Sensors) || kubernetes.InCluster() {
		t.Error(err)
	}
}
