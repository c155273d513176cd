// One program that holds every part of a Kubernetes cluster which the tests need: its first argument names the part, the others are
// that part's own flags. One binary because the parts share nearly all of their code: built apart they take five times the disk,
// the memory and the time to link.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// parts are the servers and the client, by the name that they are started under. Each builds its command only when it is asked for:
// the flags of two parts in one process would clash.
var parts = map[string]func() *cobra.Command{
	"apiserver":   apiserver.NewAPIServerCommand,
	"controllers": controllers.NewControllerManagerCommand,
	"scheduler":   func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":     func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"proxy":       proxy.NewProxyCommand,
	"kubectl":     cmd.NewDefaultKubectlCommand,
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	part := os.Args[1]
	os.Args = append([]string{part}, os.Args[2:]...)
	if part == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	make, known := parts[part]
	if !known {
		usage()
	}
	os.Exit(cli.Run(make()))
}

// usage names the parts and ends the process with 2, as the shell's own commands do for wrong arguments.
func usage() {
	fmt.Fprintln(os.Stderr, "kubernetes etcd|apiserver|controllers|scheduler|kubelet|proxy|kubectl ARGUMENTS")
	os.Exit(2)
}
