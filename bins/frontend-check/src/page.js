// Runs in the editor's page.
globalThis.frontendCheck = (() => {
  const root = [...document.querySelectorAll('*')].find((element) => element.__vue_app__)
  const stores = root.__vue_app__.config.globalProperties.$pinia._s
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => resolve()))

  let warnings = []
  window.alert = (text) => warnings.push(`alert: ${text}`)

  // Messages at the side of the window. Callers look up the store's function when they call it.
  const toast = stores.get('toast')
  const add = toast.add
  toast.add = (message) => {
    warnings.push(`message: ${message.summary ?? message.group}: ${message.detail ?? ''}`)
    return add.call(toast, message)
  }

  // Dialogs. The stack is emptied between graphs.
  const takeDialogs = () => {
    const dialogs = stores.get('dialog')
    while (dialogs?.dialogStack.length) {
      const { key, title, contentProps } = dialogs.dialogStack[0]
      const { missingNodeTypes, error, exceptionMessage } = contentProps ?? {}
      const details = missingNodeTypes ?? exceptionMessage ?? error?.message ?? ''
      warnings.push(`dialog ${key}: ${title ?? ''} ${JSON.stringify(details)}`)
      dialogs.closeDialog({ key })
    }
  }

  const frameOf = (pos, size, titleHeight) => [pos[0], pos[1] - titleHeight, pos[0] + size[0], pos[1] + size[1]]

  // Nodes that overlap on the canvas, including their titles.
  const overlaps = () => {
    const nodes = window.app.graph.nodes
    const frames = nodes.map(({ pos, size }) => frameOf(pos, size, window.LiteGraph.NODE_TITLE_HEIGHT))
    const found = []
    for (let a = 0; a < nodes.length; a++) {
      for (let b = a + 1; b < nodes.length; b++) {
        const [one, other] = [frames[a], frames[b]]
        if (one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]) {
          found.push(`${nodes[a].id} ${nodes[a].type} and ${nodes[b].id} ${nodes[b].type}`)
        }
      }
    }
    return found
  }

  // Opens a graph, and returns its prompt, the saved graph and the warnings.
  const open = async (name, text) => {
    takeDialogs()
    warnings = []
    await window.app.loadGraphData(JSON.parse(text), true, true, name)
    // Layout and callbacks of nodes run in the next frame.
    await frame()
    await frame()
    const { output, workflow } = await window.app.graphToPrompt()
    takeDialogs()
    return JSON.stringify({ prompt: output, saved: workflow, overlaps: overlaps(), warnings })
  }

  // Shows the whole graph with all strings, and waits until messages have disappeared and the page is painted.
  const fitView = async () => {
    stores.get('toast').removeAll()
    const { canvas, graph } = window.app
    const groups = graph.groups.map(({ pos, size }) => frameOf(pos, size, 0))
    const frames = [...graph.nodes.map(({ pos, size }) => frameOf(pos, size, window.LiteGraph.NODE_TITLE_HEIGHT)), ...groups]
    if (!frames.length) return
    const [left, top] = [0, 1].map((side) => Math.min(...frames.map((frame) => frame[side])))
    const [right, bottom] = [2, 3].map((side) => Math.max(...frames.map((frame) => frame[side])))
    canvas.ds.fitToBounds([left, top, right - left, bottom - top], { zoom: 0.88 })
    canvas.setDirty(true, true)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    await frame()
  }

  return { open, fitView }
})()
undefined
