"""A guest's BMC: IPMI over the network, answered by pyghmi; power is the lab's matter.

Port and credentials are arguments. Standard output carries one JSON line with the UDP
port, then a request a line; standard input the answers.
"""

import json
import sys

from pyghmi.ipmi import bmc


class Bmc(bmc.Bmc):
    def ask(self, what):
        print(json.dumps({"power": what}), flush=True)
        line = sys.stdin.readline()
        if not line:
            sys.exit(0)
        return json.loads(line)

    def get_power_state(self):
        return "on" if self.ask("get")["on"] else "off"

    def change(self, what):
        # 0xff: unspecified error
        return 0 if self.ask(what)["done"] else 0xFF

    def power_on(self):
        return self.change("on")

    def power_off(self):
        return self.change("off")

    def power_cycle(self):
        return self.change("cycle")

    def power_reset(self):
        return self.change("cycle")

    def power_shutdown(self):
        return self.change("off")


user, password = sys.argv[1:]
server = Bmc({user: password}, port=0, address="127.0.0.1")
# Any free one; pyghmi finds its sessions by it.
server.port = server.serversocket.getsockname()[1]
print(json.dumps({"port": server.port}), flush=True)
server.listen()
