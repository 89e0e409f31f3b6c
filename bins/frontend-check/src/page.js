// Runs in the editor's page.
globalThis.frontendCheck = (() => {
  const root = [...document.querySelectorAll('*')].find((element) => element.__vue_app__)
  const stores = root.__vue_app__.config.globalProperties.$pinia._s
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => resolve()))

  let warnings = []
  window.alert = (text) => warnings.push(`alert: ${text}`)

  // Messages at the side of the window. Callers take the store's function at the time of the call.
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

  // Opens a graph, and says what comes of it.
  const open = async (name, text) => {
    takeDialogs()
    warnings = []
    await window.app.loadGraphData(JSON.parse(text), true, true, name)
    // Layout and callbacks of nodes that follow in the next frame.
    await frame()
    await frame()
    const { output, workflow } = await window.app.graphToPrompt()
    takeDialogs()
    return JSON.stringify({ prompt: output, saved: workflow, warnings })
  }

  return { open }
})()
undefined
